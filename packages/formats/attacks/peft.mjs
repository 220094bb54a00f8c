// Hostile PEFT folders, each with the code that it has to be refused with: a config and the tensors beside it.
import { cat, deep, f32, floats, u64 } from "./bytes.mjs";

const MODULE = "base_model.model.model.layers.0.self_attn.q_proj";
const CONFIG = { peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj"] };
const A = { dtype: "F32", shape: [2, 4] };
const B = { dtype: "F32", shape: [3, 2] };

function weights(tensors, data) {
  const header = {};
  let end = 0;
  for (const [name, { dtype, shape }] of Object.entries(tensors)) {
    const size = shape.reduce((product, length) => product * length, 1) * (dtype === "F32" ? 4 : 2);
    header[name] = { dtype, shape, data_offsets: [end, end + size] };
    end += size;
  }
  const text = JSON.stringify(header).replace('"PROTO"', '"__proto__"');
  return cat(u64(text.length), Buffer.from(text), data ?? floats(Math.ceil(end / 4)).subarray(0, end));
}

const PAIR = { [`${MODULE}.lora_A.weight`]: A, [`${MODULE}.lora_B.weight`]: B };
const folder = (config, tensors = PAIR, data = undefined) => ({
  config: Buffer.from(typeof config === "string" ? config : JSON.stringify(config)),
  weights: weights(tensors, data),
});
const withConfig = (more) => folder({ ...CONFIG, ...more });
const withTensors = (tensors, data) => folder(CONFIG, tensors, data);
const pattern = (text) => withConfig({ alpha_pattern: { [text]: 2 } });

const patterns = (count, pattern) => Object.fromEntries(Array.from({ length: count }, (_, i) => [pattern(i), 2]));

/** A few hundred modules, and patterns that match none of them. */
function slow() {
  const tensors = {};
  for (let i = 0; i < 300; i++) {
    tensors[`base_model.model.m${i}.lora_A.weight`] = { dtype: "F32", shape: [1, 1] };
    tensors[`base_model.model.m${i}.lora_B.weight`] = { dtype: "F32", shape: [1, 1] };
  }
  return folder({ ...CONFIG, r: 1, alpha_pattern: patterns(2000, (i) => `[a-z]*${i}x`) }, tensors);
}

/** name: [code, { config, weights }] */
export const peft = {
  // What the others are made from: nothing is wrong with it.
  sound: [null, folder(CONFIG)],
  "config-empty": ["bad-header", folder("")],
  "config-no-json": ["bad-header", folder('{"peft_type":')],
  "config-a-list": ["bad-header", folder("[]")],
  "config-not-utf-8": ["bad-header", { ...folder(CONFIG), config: Buffer.from([0x7b, 0xff, 0x7d]) }],
  "config-deep": ["bad-header", folder(`{"a":${deep(20_000)}}`)],
  "config-key-twice": ["duplicate-name", folder('{"lora_alpha":1,"lora_alpha":2}')],
  "alpha-text": ["bad-config", withConfig({ lora_alpha: "4" })],
  "alpha-list": ["bad-config", withConfig({ lora_alpha: [4] })],
  "alpha-1e999": ["bad-value", folder('{"lora_alpha":1e999}')],
  "alpha-in-proto": ["bad-config", folder('{"lora_alpha":{"__proto__":{"valueOf":4}}}')],
  "dropout-2": ["bad-value", withConfig({ lora_dropout: 2 })],
  "use-rslora-text": ["bad-config", withConfig({ use_rslora: "yes" })],
  "base-model-object": ["bad-config", withConfig({ base_model_name_or_path: { toString: 1 } })],
  "another-method": ["unsupported-variant", withConfig({ peft_type: "LOHA" })],
  "a-method-named-constructor": ["unsupported-variant", withConfig({ peft_type: "constructor" })],
  "dora-without-magnitudes": ["missing-tensor", withConfig({ use_dora: true })],
  "use-dora-text": ["bad-config", withConfig({ use_dora: "yes" })],
  "rank-of-another-file": ["bad-shape", withConfig({ r: 16 })],
  "rank-pattern-to-text": ["bad-config", withConfig({ rank_pattern: { q_proj: "2" } })],
  "an-adapter-of-mlx": ["not-this-format", folder({ fine_tune_type: "lora", lora_parameters: { rank: 2, scale: 2 } })],
  "a-variant-of-tomorrow": ["unsupported-variant", withConfig({ use_tomorrow: true })],
  "activated-lora": ["unsupported-variant", withConfig({ alora_invocation_tokens: [1] })],
  pissa: ["unsupported-variant", withConfig({ init_lora_weights: "pissa" })],
  "patterns-a-list": ["bad-header", withConfig({ alpha_pattern: [] })],
  "pattern-to-text": ["bad-config", withConfig({ alpha_pattern: { q_proj: "2" } })],
  "pattern-broken": ["bad-config", pattern("(")],
  "pattern-with-back-references": ["bad-config", pattern("(a*)*\\1")],
  "pattern-with-look-ahead": ["bad-config", pattern("(?=a)b")],
  "pattern-that-repeats-without-end": ["bad-config", pattern("((((((a{1000}){1000}){1000}){1000}){1000}){1000})")],
  "patterns-that-take-long-to-compile": [
    "too-large",
    withConfig({ alpha_pattern: patterns(60, (i) => `[a-z]{4000}${i}`) }),
  ],
  "patterns-that-take-long-to-match": ["too-large", slow()],
  "pattern-that-nests-deep": ["bad-config", pattern("(".repeat(20_000) + ")".repeat(20_000))],
  "pattern-that-repeats-nothing": [
    "bad-value",
    withConfig({ alpha_pattern: { "((((){1000}){1000}){1000}){1000}": 2 }, lora_dropout: 2 }),
  ],
  "pattern-that-backtracks-elsewhere": [
    "bad-value",
    withConfig({ alpha_pattern: { "([a-z_.0-9]+)+$x": 2 }, lora_dropout: 2 }),
  ],
  "tensor-outside-of-the-model": ["bad-name", withTensors({ ...PAIR, "../../etc/passwd": B })],
  "tensor-proto": ["bad-name", withTensors({ ...PAIR, PROTO: B })],
  "a-without-b": ["missing-tensor", withTensors({ [`${MODULE}.lora_A.weight`]: A })],
  "b-without-a": ["missing-tensor", withTensors({ [`${MODULE}.lora_B.weight`]: B })],
  "no-tensors": ["missing-tensor", withTensors({})],
  "ranks-differ": ["bad-shape", withTensors({ ...PAIR, [`${MODULE}.lora_B.weight`]: { dtype: "F32", shape: [2, 3] } })],
  "rank-0": [
    "bad-shape",
    withTensors({
      [`${MODULE}.lora_A.weight`]: { dtype: "F32", shape: [0, 4] },
      [`${MODULE}.lora_B.weight`]: { dtype: "F32", shape: [3, 0] },
    }),
  ],
  "a-vector": ["bad-shape", withTensors({ ...PAIR, [`${MODULE}.lora_A.weight`]: { dtype: "F32", shape: [8] } })],
  "a-convolution": [
    "unsupported-variant",
    withTensors({ ...PAIR, [`${MODULE}.lora_A.weight`]: { dtype: "F32", shape: [2, 2, 1, 2] } }),
  ],
  "magnitudes-without-dora": [
    "unexpected-tensor",
    folder(
      { ...CONFIG, use_dora: false },
      { ...PAIR, [`${MODULE}.lora_magnitude_vector`]: { dtype: "F32", shape: [3] } },
    ),
  ],
  "magnitudes-too-many": [
    "bad-shape",
    withTensors({ ...PAIR, [`${MODULE}.lora_magnitude_vector`]: { dtype: "F32", shape: [4] } }),
  ],
  "adapters-of-two-names": [
    "several-adapters",
    withTensors({
      ...PAIR,
      [`${MODULE}.lora_A.other.weight`]: A,
      [`${MODULE}.lora_B.other.weight`]: B,
    }),
  ],
  "a-key-twice-but-for-a-wrapper": [
    "duplicate-name",
    withTensors({ ...PAIR, [`_orig_mod.${MODULE}.lora_A.weight`]: A }),
  ],
  "weights-a-git-lfs-pointer": [
    "not-this-format",
    {
      ...folder(CONFIG),
      weights: Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 134217728\n"),
    },
  ],
  "config-an-html-page": ["not-this-format", { ...folder(CONFIG), config: Buffer.from("<!DOCTYPE html><html><head>") }],
  "whole-numbers": [
    "unsupported-dtype",
    withTensors({ ...PAIR, [`${MODULE}.lora_A.weight`]: { dtype: "I16", shape: [2, 4] } }),
  ],
  "bias-of-another-width": [
    "bad-shape",
    withTensors({ ...PAIR, [`${MODULE}.lora_B.bias`]: { dtype: "F32", shape: [4] } }),
  ],
  "nan-in-a": ["not-finite", withTensors(PAIR, cat(f32(Number.NaN), floats(13)))],
  "weights-cut-off": ["bad-offset", { ...folder(CONFIG), weights: folder(CONFIG).weights.subarray(0, -1) }],
  "weights-empty": ["truncated", { ...folder(CONFIG), weights: Buffer.alloc(0) }],
};
