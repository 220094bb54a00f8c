import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  decodePeft,
  encodePeft,
  fitToModel,
  type LoraFile,
  type LoraTarget,
  type PeftFolder,
  toMicroLora,
} from "@microlora/formats";
import { MicroLora } from "microlora";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LoraModel, openModel } from "../node.js";
import { feedsOf, fixturePath, randomOf, web } from "../testing/models.test-support.js";

const ADAPTER = join(import.meta.dirname, "../../../../examples/adapters/tiny-llama");
const BASE = join(import.meta.dirname, "../../../formats/src/picture/fixtures/llama.onnx");
const FEEDS = { input_ids: { type: "int64", dims: [1, 4], data: BigInt64Array.of(3n, 14n, 15n, 9n) } };

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "microlora-adapters-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function peftFolder(): Promise<PeftFolder> {
  const file = (name: string) => readFile(join(ADAPTER, name));
  return { config: await file("adapter_config.json"), weights: await file("adapter_model.safetensors") };
}

test("an adapter of PEFT is loaded by its folder, its files or its path, and saved as it came", async () => {
  const given = await peftFolder();
  await using model = await openModel(BASE, {
    ort: web,
    targets: decodePeft(given).targets.map(({ module }) => module),
  });
  const expected = await MicroLora.fromState(toMicroLora(fitToModel(decodePeft(given), model)));
  const { logits } = await model.run(FEEDS, { adapters: expected });
  for (const source of [given, ADAPTER, given.weights]) {
    const loaded = await model.loadAdapter(source, source === given.weights ? { alpha: 16 } : {});
    if (source !== given.weights)
      expect((await model.run(FEEDS, { adapters: loaded })).logits!.data).toEqual(logits!.data);
    const saved = await model.saveAdapter(loaded, "peft");
    expect(decodePeft(saved).targets.map(({ module }) => module)).toEqual(
      decodePeft(given).targets.map(({ module }) => module),
    );
  }
  const loaded = await model.loadAdapter(given);
  const back = decodePeft(await model.saveAdapter(loaded, "peft"));
  for (const [i, { rank, alpha, loraA, loraB }] of decodePeft(given).targets.entries())
    expect(back.targets[i]).toMatchObject({ rank, alpha, loraA, loraB });
  expect(back.baseModel).toBe(decodePeft(given).baseModel);
  const bytes = await model.saveAdapter(loaded, "onnx_adapter");
  const again = await model.loadAdapter(bytes);
  expect((await model.run(FEEDS, { adapters: again })).logits!.data).toEqual(logits!.data);
});

test.each<readonly [string, (model: LoraModel) => Promise<unknown>]>([
  ["nothing", (model) => model.loadAdapter(undefined as never)],
  ["an object", (model) => model.loadAdapter({} as never)],
  ["bytes of no kind", (model) => model.loadAdapter(new Uint8Array(64))],
  ["a format that does not exist", async (model) => model.saveAdapter(await model.createAdapter(), "word" as never)],
  ["no adapter", (model) => model.saveAdapter(undefined as never, "peft")],
  ["a path where nothing is", (model) => model.loadAdapter(join(folder, "none"))],
])("%s is refused with a typed error", async (_, call) => {
  await using model = await openModel(BASE, { ort: web, targets: ["q_proj"] });
  const error = await call(model).then(
    () => undefined,
    (each) => each,
  );
  expect(error).toMatchObject({ code: expect.stringMatching(/^[a-z-]+$/), message: expect.stringMatching(/\w/) });
});

function target(module: string, inFeatures: number, outFeatures: number, rank: number, alpha: number): LoraTarget {
  const random = randomOf(module.length + outFeatures);
  const draw = (length: number) => Float32Array.from({ length }, () => random());
  const loraA = draw(rank * inFeatures);
  const loraB = draw(rank * outFeatures);
  return {
    module,
    kind: "linear",
    rank,
    alpha,
    rsLora: false,
    inFeatures,
    outFeatures,
    loraA,
    loraB,
    dtype: "F32",
  } as LoraTarget;
}

test("adapters of parts fit a packed projection, and one of the packed projection fits its parts, to the same outputs", async () => {
  const given = decodePeft(await peftFolder());
  const open = (targets: readonly string[]) => openModel(fixturePath("gpt2-legacy"), { ort: web, targets });
  await using packed = await open(["c_attn"]);
  await using parts = await open(["q_proj", "k_proj", "v_proj"]);
  const { inFeatures, outFeatures } = packed.modules[0]!;
  const width = outFeatures / 3;
  const paths = packed.modules.map(({ name }) => name.split(".").slice(0, -1).join("."));
  const file = (targets: readonly LoraTarget[]): LoraFile => ({ ...given, baseModel: null, targets });
  const ofParts = paths.flatMap((path) =>
    ["q_proj", "v_proj"].map((part, i) => target(`${path}.${part}`, inFeatures, width, 2 + i, 3)),
  );
  const ofWhole = packed.modules.map(({ name }) => target(name, inFeatures, outFeatures, 2, 3));
  const feeds = feedsOf("gpt2-legacy", 2, 5);
  for (const targets of [ofParts, ofWhole]) {
    const source = encodePeft(file(targets));
    const runs = [];
    for (const model of [packed, parts]) {
      const adapters = await model.loadAdapter(source);
      runs.push((await model.run(feeds, { adapters })).logits!.data as Float32Array);
    }
    const base = (await packed.run(feeds)).logits!.data as Float32Array;
    const [a, b] = runs as [Float32Array, Float32Array];
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(1e-5);
    expect(Math.max(...a.map((value, i) => Math.abs(value - base[i]!)))).toBeGreaterThan(0.01);
  }
});
