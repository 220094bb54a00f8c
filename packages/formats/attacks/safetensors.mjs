// Hostile safetensors files, each with the code that it has to be refused with.
import { ascii, cat, deep, f32, floats, u8, u64 } from "./bytes.mjs";

const header = (text) => cat(u64(Buffer.byteLength(text)), Buffer.from(text));
const A = "base_model.model.m.lora_A.weight";
const B = "base_model.model.m.lora_B.weight";
const CONFIG = { __metadata__: { adapter_config: '{"lora_alpha":4}' } };
const tensor = (dtype, shape, begin, end) => ({ dtype, shape, data_offsets: [begin, end] });
const PAIR = { ...CONFIG, [A]: tensor("F32", [2, 4], 0, 32), [B]: tensor("F32", [3, 2], 32, 56) };
const DATA = cat(floats(8), floats(6));

const file = (json, data = DATA) => cat(header(typeof json === "string" ? json : JSON.stringify(json)), data);
const withA = (value) => file({ ...PAIR, [A]: value });
const textOfA = (from, to) => file(JSON.stringify(PAIR).replace(from, to));
const metadata = (value) => file({ ...PAIR, __metadata__: value });
const config = (text) => metadata({ adapter_config: text });

/** name: [code, bytes] */
export const safetensors = {
  // What the others are made from: nothing is wrong with it.
  sound: [null, file(PAIR)],
  empty: ["truncated", u8()],
  "seven-bytes": ["truncated", u8(1, 0, 0, 0, 0, 0, 0)],
  "header-length-2-63": ["too-large", cat(u64(2n ** 63n), ascii("{}"))],
  "header-length-2-64": ["too-large", cat(u64(-1), ascii("{}"))],
  "header-length-past-the-end": ["truncated", cat(u64(1000), ascii("{}"))],
  "header-length-200-mb": ["too-large", cat(u64(200_000_000), ascii("{}"))],
  "header-length-0": ["bad-header", cat(u64(0), ascii("{}"))],
  "header-no-json": ["bad-header", file("{")],
  "header-a-list": ["bad-header", file("[]", u8())],
  "header-null": ["bad-header", file("null", u8())],
  "header-not-utf-8": ["bad-header", cat(u64(4), u8(0x7b, 0xff, 0xfe, 0x7d))],
  "header-begins-with-spaces": ["bad-header", file(` ${JSON.stringify(PAIR)}`)],
  "deep-json": ["bad-header", file(`{"a":${deep(20_000)}}`, u8())],
  "deep-metadata": ["bad-header", file(`{"__metadata__":{"a":${deep(20_000)}}}`, u8())],
  "metadata-of-numbers": ["bad-header", metadata({ adapter_config: 4 })],
  "metadata-a-list": ["bad-header", metadata([])],
  "duplicate-tensor": ["duplicate-name", textOfA(`"${B}"`, `"${A}"`)],
  "duplicate-offsets": [
    "duplicate-name",
    textOfA('"data_offsets":[0,32]', '"data_offsets":[0,32],"data_offsets":[0,32]'),
  ],
  "escaped-duplicate": ["duplicate-name", textOfA(`"${B}"`, `"\\u0062${A.slice(1)}"`)],
  "tensor-proto": ["bad-name", textOfA(`"${A}"`, '"__proto__"')],
  "tensor-constructor": ["bad-name", textOfA(`"${A}"`, '"constructor"')],
  "fields-in-proto": [
    "unsupported-dtype",
    textOfA('"dtype":"F32","shape":[2,4]', '"__proto__":{"dtype":"F32","shape":[2,4]}'),
  ],
  "tensor-a-number": ["bad-header", withA(5)],
  "tensor-null": ["bad-header", withA(null)],
  "tensor-without-a-type": ["unsupported-dtype", withA({ shape: [2, 4], data_offsets: [0, 32] })],
  "type-unknown": ["unsupported-dtype", withA(tensor("F33", [2, 4], 0, 32))],
  "type-constructor": ["unsupported-dtype", withA(tensor("constructor", [2, 4], 0, 32))],
  "type-a-number": ["unsupported-dtype", withA(tensor(32, [2, 4], 0, 32))],
  "type-wider-than-the-data": ["bad-offset", withA(tensor("F64", [2, 4], 0, 32))],
  "type-narrower-than-the-data": ["bad-offset", withA(tensor("F16", [2, 4], 0, 32))],
  "type-of-whole-numbers": ["unsupported-dtype", withA(tensor("I32", [2, 4], 0, 32))],
  "half-a-byte": ["bad-shape", withA(tensor("F4", [3], 0, 2))],
  "shape-negative": ["bad-header", withA(tensor("F32", [-2, -4], 0, 32))],
  "shape-of-halves": ["bad-header", withA(tensor("F32", [1.5, 4], 0, 24))],
  "shape-a-number": ["bad-header", withA(tensor("F32", 8, 0, 32))],
  "shape-of-texts": ["bad-header", withA(tensor("F32", ["2", "4"], 0, 32))],
  "shape-product-overflows": ["bad-shape", withA(tensor("F32", [2 ** 52, 2 ** 52], 0, 32))],
  "shape-wraps-to-0": ["bad-shape", textOfA("[2,4]", "[4294967296,4294967296]")],
  "shape-overflow-behind-a-zero": ["bad-header", textOfA("[2,4]", "[9007199254740993,9007199254740993,0]")],
  "shape-1e999": ["bad-header", textOfA("[2,4]", "[1e999,4]")],
  "offset-negative": ["bad-header", withA(tensor("F32", [2, 4], -32, 0))],
  "offset-2-53": ["bad-header", withA(tensor("F32", [2, 4], 2 ** 53, 2 ** 53 + 32))],
  "offset-of-halves": ["bad-header", withA(tensor("F32", [2, 4], 0.5, 32.5))],
  "offset-past-the-end": ["bad-offset", file({ ...PAIR, [B]: tensor("F32", [300, 2], 32, 2432) })],
  "end-before-begin": ["bad-offset", withA(tensor("F32", [2, 4], 32, 0))],
  "tensors-overlap": ["bad-offset", file({ ...PAIR, [B]: tensor("F32", [3, 2], 28, 52) })],
  "tensors-the-same": ["bad-offset", file({ ...PAIR, [B]: tensor("F32", [4, 2], 0, 32) })],
  "gap-between-tensors": [
    "bad-offset",
    file({ ...PAIR, [B]: tensor("F32", [3, 2], 36, 60) }, cat(DATA, u8(0, 0, 0, 0))),
  ],
  "gap-before-the-first": ["bad-offset", file({ ...CONFIG, [A]: tensor("F32", [2, 4], 4, 36) })],
  "one-offset": ["bad-offset", withA({ ...PAIR[A], data_offsets: [0] })],
  "three-offsets": ["bad-offset", withA({ ...PAIR[A], data_offsets: [0, 32, 32] })],
  "bytes-after-the-end": ["bad-offset", file(PAIR, cat(DATA, u8(1)))],
  "cut-off": ["bad-offset", file(PAIR).subarray(0, -1)],
  "header-of-many-tensors": ["bad-offset", file(many(2_000), u8())],
  "no-config": ["missing-config", file({ ...PAIR, __metadata__: {} })],
  "config-no-json": ["bad-header", config("{")],
  "config-deep": ["bad-header", config(`{"a":${deep(20_000)}}`)],
  "config-proto": ["bad-config", config('{"lora_alpha":{"__proto__":4}}')],
  "nan-in-a": ["not-finite", file(PAIR, cat(f32(Number.NaN), floats(7), floats(6)))],
};

/** Empty tensors, all at the same offset, and the last one a lie. */
function many(count) {
  const entries = Array.from({ length: count }, (_, i) => [`t${i}`, tensor("F32", [0], 0, 0)]);
  return Object.fromEntries([...entries, ["last", tensor("F32", [1], 4, 8)]]);
}
