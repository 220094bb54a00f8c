import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeSafetensors, fitToModel, fromMicroLora, targetNames, toFloats, toMicroLora } from "@microlora/formats";
import { readAdapter, writeAdapter } from "@microlora/formats/node";
import { type Ort, openModel } from "@microlora/onnx/node";
import { MicroLora } from "microlora";
import * as web from "onnxruntime-web";
import { afterAll, describe, expect, test } from "vitest";
import { microlora, refused } from "./run.test-support.js";

web.env.wasm.numThreads = 1;
const ort: Ort = web;

/** Tokens that PEFT's logits are of: INPUT_IDS of packages/formats/witness/models.py. */
const INPUT_IDS = {
  type: "int64",
  dims: [2, 6],
  data: BigInt64Array.from([3, 14, 15, 9, 2, 6, 5, 35, 8, 9, 7, 9], BigInt),
};
const FORMATS = fileURLToPath(new URL("../../../formats/src/", import.meta.url));
const peft = (name: string) => join(FORMATS, "peft", "fixtures", name);
/** The model that a PEFT folder was trained on, exported by PyTorch. */
const base = (name: string) => join(FORMATS, "picture", "fixtures", `${name.split("-")[0]}.onnx`);

const folder = await mkdtemp(join(tmpdir(), "microlora-onnx-"));
afterAll(() => rm(folder, { recursive: true }));

/** What PEFT itself makes of the tokens with a folder of its own. */
async function logitsOfPeft(name: string): Promise<Float32Array> {
  const { tensors } = decodeSafetensors(await readFile(join(peft(name), "expected.safetensors")));
  return toFloats(tensors.get("logits")!, "logits");
}

/** What plain onnxruntime-web makes of the tokens with a model. */
async function logitsOf(path: string): Promise<Float32Array> {
  const session = await web.InferenceSession.create(await readFile(path));
  const { logits } = await session.run({ input_ids: new web.Tensor("int64", INPUT_IDS.data, INPUT_IDS.dims) });
  await session.release();
  return logits!.data as Float32Array;
}

/** What the base makes of the tokens with an adapter beside it. */
async function logitsBeside(path: string, adapter: string): Promise<Float32Array> {
  const { file } = await readAdapter(adapter);
  await using model = await openModel(path, { ort, targets: targetNames(file) });
  using lora = await MicroLora.fromState(toMicroLora(fitToModel(file, model)));
  const { logits } = await model.run({ input_ids: INPUT_IDS }, { adapters: lora });
  return logits!.data as Float32Array;
}

function difference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

/** Folders on float32 bases that need no more of the base than its modules. */
const CASES = ["llama", "llama-patterns", "llama-rslora", "llama-embeddings", "bert", "gpt2"];

describe.each(CASES)("%s", (name) => {
  test("beside its base in onnxruntime-web, PEFT's adapter gives PEFT's logits", async () => {
    const wanted = await logitsOfPeft(name);
    expect(difference(wanted, await logitsOf(base(name)))).toBeGreaterThan(1e-3);
    expect(difference(wanted, await logitsBeside(base(name), peft(name)))).toBeLessThan(1e-5);
  });

  test("merged into the .onnx it gives them too, and the base again when it is taken out", async () => {
    const [merged, back] = [join(folder, `${name}.onnx`), join(folder, `${name}-back.onnx`)];
    expect(await microlora("merge", base(name), peft(name), merged)).toMatch(/: with \d+ modules of rank/);
    expect(difference(await logitsOfPeft(name), await logitsOf(merged))).toBeLessThan(1e-5);
    expect(await microlora("merge", merged, peft(name), back, "--unmerge")).toMatch(/: without \d+ modules/);
    expect(difference(await logitsOf(base(name)), await logitsOf(back))).toBeLessThan(1e-5);
  });
});

describe("the same adapter in other formats", () => {
  test.each(["a.safetensors", "a.mlora", "a.onnx_adapter", "a.gguf"])("%s", async (file) => {
    const [adapter, merged] = [join(folder, file), join(folder, `${file}.onnx`)];
    const config = join(folder, "config.json");
    const heads = { num_attention_heads: 4, num_key_value_heads: 2, hidden_size: 16, num_hidden_layers: 2 };
    await writeFile(config, JSON.stringify({ architectures: ["LlamaForCausalLM"], model_type: "llama", ...heads }));
    await microlora("convert", peft("llama"), adapter, "--base", config);
    const told = JSON.parse(await microlora("merge", base("llama"), adapter, merged, "--json"));
    expect(told).toMatchObject({ output: merged, unmerge: false });
    expect(told.modules).toContainEqual(
      expect.objectContaining({ module: "model.layers.1.self_attn.v_proj", rank: 2 }),
    );
    const wanted = await logitsOfPeft("llama");
    expect(difference(wanted, await logitsOf(merged))).toBeLessThan(1e-5);
    expect(difference(wanted, await logitsBeside(base("llama"), adapter))).toBeLessThan(1e-5);
  });

  test("state of the Rust original, whose module is said to be one of a layer's", async () => {
    await using model = await openModel(base("llama"), { ort, targets: ["layers.0.self_attn.q_proj"] });
    using lora = await MicroLora.create({ inFeatures: 16, outFeatures: 16, targetModules: ["q_proj"], rank: 2 });
    lora.getAdapter("q_proj")!.loraB.fill(0.3);
    const file = fromMicroLora(lora.exportState());
    await writeFile(join(folder, "user.mlora"), lora.toBytes());
    const state = join(folder, "user.bin");
    await microlora("convert", join(folder, "user.mlora"), state);
    const merged = join(folder, "rust.onnx");
    expect((await refused("merge", base("llama"), state, merged)).stderr).toMatch(
      /llama\.onnx: q_proj: names no single module/,
    );
    await microlora("merge", base("llama"), state, merged, "--rename", "q_proj=layers.0.self_attn.q_proj");
    using beside = await MicroLora.fromState(toMicroLora(fitToModel(file, model)));
    const { logits } = await model.run({ input_ids: INPUT_IDS }, { adapters: beside });
    expect(difference(logits!.data as Float32Array, await logitsOf(merged))).toBeLessThan(1e-5);
  });
});

test("ranks that a MicroLora has no room for are merged all the same", async () => {
  const { file } = await readAdapter(peft("llama"));
  const rank = 96;
  const [first] = file.targets;
  const loraA = new Float32Array(rank * first!.inFeatures);
  loraA.set(first!.loraA);
  const loraB = new Float32Array(rank * first!.outFeatures);
  loraB.set(first!.loraB);
  const target = { ...first!, rank, alpha: (first!.alpha / first!.rank) * rank, loraA, loraB };
  await writeAdapter({ ...file, targets: [target, ...file.targets.slice(1)] }, join(folder, "wide"), "peft");
  const merged = join(folder, "wide.onnx");
  expect(await microlora("merge", base("llama"), join(folder, "wide"), merged)).toContain("of rank 2, 96");
  expect(difference(await logitsOfPeft("llama"), await logitsOf(merged))).toBeLessThan(1e-5);
});

test.each([
  ["llama", "gpt2", /transformer\.h\.0\.attn\.c_attn.* names? no single module of the model, which has model\./],
  ["bert", "bert-lora-bias", /its adapter has a bias/],
  ["bert", "bert-classifier", /whole tensors of the base/],
])("%s with %s is refused", async (model, adapter, message) => {
  const { code, stderr } = await refused("merge", base(model), peft(adapter), join(folder, "refused.onnx"));
  expect(code).toBe(1);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/ {4}at /);
  await expect(readFile(join(folder, "refused.onnx"))).rejects.toThrow("ENOENT");
});

test("an adapter that learned here is merged into its own base only, which is not written over", async () => {
  await using model = await openModel(base("llama"), { ort, targets: ["q_proj"] });
  const adapter = await model.createAdapter();
  const path = join(folder, "own.mlora");
  await writeFile(path, adapter.toBytes());
  const other = join(folder, "other.onnx");
  await microlora("merge", base("llama"), peft("llama"), other);
  expect((await refused("merge", other, path, join(folder, "wrong.onnx"))).stderr).toMatch(/was made for onnx-sha256/);
  const copy = join(folder, "copy.onnx");
  await copyFile(base("llama"), copy);
  expect((await refused("merge", copy, path, copy)).stderr).toMatch(/another folder/);
  await microlora("merge", copy, path, join(folder, "fresh.onnx"));
  expect(Buffer.compare(await readFile(copy), await readFile(join(folder, "fresh.onnx")))).toBe(0);
});
