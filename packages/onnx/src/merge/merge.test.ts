import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { MicroLora } from "microlora";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HostTensor } from "../base/host-tensor.js";
import type { Targets } from "../graft/modules.js";
import type { Graph, Model, Node } from "../graph/ir.js";
import { encodeModel } from "../graph/serde/write.js";
import type { LoraModel } from "../model/lora-model.js";
import { openModel } from "../model/open.js";
import { FIXTURES, feedsOf, fixturePath, randomOf, web } from "../testing/models.test-support.js";
import { mergeIntoModel } from "./node.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "microlora-merge-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A model from a path, its data file beside it if it has one. */
async function openAt(path: string, targets: Targets = "all-linear"): Promise<LoraModel> {
  const data = await readFile(`${path}.data`).catch(() => undefined);
  const model = { model: await readFile(path), ...(data && { externalData: { "model.onnx.data": data } }) };
  return openModel(model, { ort: web, targets });
}

async function adapterOf(model: LoraModel): Promise<MicroLora> {
  const adapter = await model.createAdapter({ rank: 2, alpha: 3 });
  const random = randomOf(5);
  for (const { name } of model.modules) {
    const lora = adapter.getAdapter(name)!;
    for (let i = 0; i < lora.loraB.length; i++) lora.loraB[i] = 0.1 * random();
  }
  return adapter;
}

function largestDifference(a: HostTensor["data"], b: HostTensor["data"]): number {
  return Array.from(a as Float32Array).reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (b as Float32Array)[i]!)),
    0,
  );
}

describe.each(FIXTURES)("%s", (name) => {
  test("merged, it gives what it gives with the adapter beside it, and the base when it is taken out again", async () => {
    const path = fixturePath(name);
    await using base = await openAt(path);
    const adapter = await adapterOf(base);
    const to = join(folder, name, "merged", "model.onnx");
    await mergeIntoModel(path, to, adapter);
    await using merged = await openAt(to);

    const feeds = feedsOf(name, 2, 7);
    const output = name === "bert-legacy" ? "last_hidden_state" : "logits";
    const runs = [await base.run(feeds, { adapters: adapter }), await merged.run(feeds), await base.run(feeds)];
    const [beside, inside, without] = runs.map((run) => run[output]!.data as Float32Array);
    expect(largestDifference(beside!, without!)).toBeGreaterThan(0.01);
    expect(largestDifference(beside!, inside!)).toBeLessThan(2e-5);

    const again = join(folder, name, "again", "model.onnx");
    await mergeIntoModel(to, again, adapter, { sign: -1 });
    await using restored = await openAt(again);
    expect(largestDifference((await restored.run(feeds))[output]!.data as Float32Array, without!)).toBeLessThan(1e-5);
    expect((await readdir(join(folder, name, "again"))).some((file) => file.endsWith("tmp"))).toBe(false);
  });

  test("a fresh adapter changes no byte", async () => {
    const path = fixturePath(name);
    await using base = await openAt(path);
    const to = join(folder, name, "same", "model.onnx");
    await mergeIntoModel(path, to, await base.createAdapter());
    expect(Buffer.compare(await readFile(path), await readFile(to))).toBe(0);
  });

  test("two merges to one place at once leave one of them, whole", async () => {
    const path = fixturePath(name);
    await using base = await openAt(path);
    const adapter = await adapterOf(base);
    const to = join(folder, name, "twice", "model.onnx");
    await Promise.all([mergeIntoModel(path, to, adapter), mergeIntoModel(path, to, adapter)]);
    const once = join(folder, name, "once", "model.onnx");
    await mergeIntoModel(path, once, adapter);
    const files = await readdir(dirname(once));
    expect(await readdir(dirname(to))).toEqual(files);
    for (const file of files) {
      const [twice, alone] = await Promise.all([to, once].map((at) => readFile(join(dirname(at), file))));
      expect(Buffer.compare(twice!, alone!)).toBe(0);
    }
    await expect(mergeIntoModel(path, to, adapter, { overwrite: false })).rejects.toMatchObject({
      code: "cannot-write",
    });
  });

  test("the base is not written over", async () => {
    const path = fixturePath(name);
    await using base = await openAt(path);
    await expect(mergeIntoModel(path, path, await base.createAdapter())).rejects.toMatchObject({
      code: "external-data",
    });
  });
});

test("the parts of a packed projection are merged into one weight", async () => {
  const path = fixturePath("gpt2-legacy");
  await using whole = await openAt(path);
  const parts = whole.found.modules.filter(({ slice }) => slice !== undefined).map(({ name }) => name);
  expect(parts.length).toBeGreaterThan(3);
  await using base = await openAt(path, parts);
  const adapter = await adapterOf(base);
  const to = join(folder, "parts.onnx");
  await mergeIntoModel(path, to, adapter);
  await using merged = await openAt(to);
  const feeds = feedsOf("gpt2-legacy", 2, 7);
  const [beside, inside] = [await base.run(feeds, { adapters: adapter }), await merged.run(feeds)];
  const difference = largestDifference(beside.logits!.data as Float32Array, inside.logits!.data as Float32Array);
  expect(difference).toBeLessThan(2e-5);
});

test("an adapter of another model is refused", async () => {
  await using bert = await openAt(fixturePath("bert-legacy"));
  const adapter = await bert.createAdapter();
  const to = join(folder, "other.onnx");
  await expect(mergeIntoModel(fixturePath("gpt2-legacy"), to, adapter)).rejects.toMatchObject({
    code: "wrong-base",
  });
});

test("an adapter of a model that is raised when it is opened is merged into it", async () => {
  const path = join(folder, "older.onnx");
  await writeFile(path, encodeModel(olderModel()));
  await using base = await openAt(path, ["q_proj"]);
  const adapter = await adapterOf(base);
  const to = join(folder, "older-merged.onnx");
  await mergeIntoModel(path, to, adapter);
  await using merged = await openAt(to, ["q_proj"]);
  const feeds = { x: { type: "float32", dims: [2, 3], data: Float32Array.of(1, -2, 3, 0.5, 4, -1) } };
  const [beside, inside] = [await base.run(feeds, { adapters: adapter }), await merged.run(feeds)];
  expect(largestDifference(beside.y!.data as Float32Array, inside.y!.data as Float32Array)).toBeLessThan(1e-5);
});

/** One projection in opset 11, whose Unsqueeze has its axes as an attribute. */
function olderModel(): Model {
  const node = (op: string, input: string, output: string, more: Partial<Node>): Node => {
    return {
      name: `/layers.0/q_proj/${op}`,
      op,
      domain: "",
      inputs: [input],
      outputs: [output],
      attributes: {},
      ...more,
    };
  };
  const weight = new Uint8Array(Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)).buffer);
  const graph: Graph = {
    name: "older",
    nodes: [
      node("MatMul", "x", "h", { inputs: ["x", "w"] }),
      node("Unsqueeze", "h", "y", { attributes: { axes: { kind: "ints", value: [1] } } }),
    ],
    inputs: [{ name: "x", type: { dtype: "float32", shape: ["rows", 3] } }],
    outputs: [{ name: "y", type: { dtype: "float32", shape: ["rows", 1, 4] } }],
    initializers: new Map([["w", { dtype: "float32", dims: [3, 4], data: { kind: "bytes", bytes: weight } }]]),
    types: new Map(),
  };
  return { irVersion: 6, producer: "", opsets: new Map([["", 11]]), graph, functions: [], metadata: new Map() };
}
