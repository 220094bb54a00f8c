import { expect, test } from "vitest";
import { fitToModel, type ModelModule, targetNames } from "./fit.js";
import { type LoraFile, type LoraTarget, PLAIN_FILE } from "./lora-file.js";
import { roleOfPath } from "./role-of-path.js";

function target(module: string, inFeatures = 3, outFeatures = 2): LoraTarget {
  const floats = (length: number) => new Float32Array(length).fill(0.5);
  const sizes = { rank: 1, inFeatures, outFeatures, alpha: 1, rsLora: false };
  return { module, kind: "linear", ...sizes, loraA: floats(inFeatures), loraB: floats(outFeatures), dtype: "F32" };
}

const fileOf = (modules: readonly string[]): LoraFile => ({
  ...PLAIN_FILE,
  targets: modules.map((name) => target(name)),
});

/** Modules of a model, a role behind a space where the graph tells one. */
const modelOf = (names: readonly string[]): readonly ModelModule[] =>
  names.map((text) => {
    const [name = "", role] = text.split(" ");
    return { name, inFeatures: 3, outFeatures: 2, role };
  });

const fitted = (paths: readonly string[], names: readonly string[]) =>
  fitToModel(fileOf(paths), { modules: modelOf(names) }).targets.map(({ module }) => module);

test.each([
  ["the same", ["a.0.q"], ["b.a.0.q", "a.0.q"], ["a.0.q"]],
  [
    "a wrapper in the model",
    ["model.layers.1.q"],
    ["model.model.layers.0.q", "model.model.layers.1.q"],
    ["model.model.layers.1.q"],
  ],
  ["a bare model", ["transformer.h.0.attn"], ["h.0.attn", "h.1.attn"], ["h.0.attn"]],
  ["another wrapper", ["bert.encoder.layer.0.query"], ["model.encoder.layer.0.query"], ["model.encoder.layer.0.query"]],
  ["no layer in the path", ["lm_head"], ["model.lm_head", "model.embed"], ["model.lm_head"]],
  ["one layer in the model", ["q_proj"], ["layers.0.attn.q_proj"], ["layers.0.attn.q_proj"]],
  [
    "one of two ends",
    ["layer.0.output.dense"],
    ["m.layer.0.attention.output.dense", "m.layer.0.output.dense"],
    ["m.layer.0.output.dense"],
  ],
  [
    "lost names",
    ["h.layer.1.attention.self.query"],
    ["layers.0.q_proj q_proj", "layers.1.q_proj q_proj"],
    ["layers.1.q_proj"],
  ],
  ["lost names of the head", ["model.embed_tokens"], ["embed embed"], ["embed"]],
])("modules are found: %s", (_, paths, names, expected) => {
  expect(fitted(paths, names)).toEqual(expected);
});

test.each([
  ["several of that name", ["q_proj"], ["layers.0.q_proj", "layers.1.q_proj"]],
  ["another layer", ["layers.2.q_proj"], ["layers.0.q_proj q_proj", "layers.1.q_proj q_proj"]],
  ["another part of the model", ["text.proj"], ["vision.proj"]],
  ["the end of a word", ["layers.0.proj"], ["layers.0.q_proj"]],
  ["several of that role", ["h.0.query"], ["layers.0.a q_proj", "layers.0.b q_proj"]],
  ["names of objects", ["__proto__", "constructor"], ["layers.0.q_proj"]],
  ["no module", ["a.0.q"], []],
])("refused: %s", (_, paths, names) => {
  expect(() => fitted(paths, names)).toThrow(expect.objectContaining({ code: "unknown-module" }));
});

test("all that is not found is named", () => {
  const paths = ["a", "b", "c", "d", "e", "layers.0.q_proj"];
  expect(() => fitted(paths, ["layers.0.q_proj"])).toThrow(
    /^a, b, c, d and 1 more: name no single module of the model, which has layers/,
  );
});

test("two of one module, and other widths, are refused", () => {
  expect(() => fitted(["x.layers.0.q", "y.layers.0.q"], ["layers.0.q"])).toThrow(
    expect.objectContaining({ code: "duplicate-name" }),
  );
  const file = { ...PLAIN_FILE, targets: [target("layers.0.q", 4)] };
  expect(() => fitToModel(file, { modules: modelOf(["layers.0.q"]) })).toThrow(
    /is 4 to 2, and the model's layers.0.q 3 to 2/,
  );
});

test("it is made for the model, unless it carries another one's fingerprint", () => {
  const model = { modules: modelOf(["m.layers.0.q"]), fingerprint: "onnx-sha256:1" };
  for (const baseModel of [null, "tiny/llama", "onnx-sha256:1"]) {
    expect(fitToModel({ ...fileOf(["layers.0.q"]), baseModel }, model).baseModel).toBe("onnx-sha256:1");
  }
  const other = { ...fileOf(["layers.0.q"]), baseModel: "onnx-sha256:2" };
  expect(() => fitToModel(other, model)).toThrow(expect.objectContaining({ code: "wrong-base" }));
  expect(fitToModel(other, { modules: model.modules }).baseModel).toBe("onnx-sha256:2");
});

test("targets are the last parts of the paths", () => {
  expect(targetNames(fileOf(["layers.0.q", "layers.1.q", "lm_head"]))).toEqual(["q", "lm_head"]);
});

test.each([
  ["encoder.layer.0.attention.output.dense", "o_proj"],
  ["encoder.layer.0.intermediate.dense", "up_proj"],
  ["encoder.layer.0.output.dense", "down_proj"],
  ["h.0.attn.c_proj", "o_proj"],
  ["h.0.mlp.c_proj", "down_proj"],
  ["layers.0.mlp.gate_up_proj", "gate_up_proj"],
  ["bert.pooler.dense", undefined],
])("%s is %s", (path, role) => {
  expect(roleOfPath(path)).toBe(role);
});
