// Hostile GGUF files, each with the code that it has to be refused with.
import { ascii, cat, f32, floats, padding, patched, u8, u32, u64 } from "./bytes.mjs";

const MAGIC = ascii("GGUF");
const text = (value) => cat(u64(value.length), ascii(value));
const string = (key, value) => cat(text(key), u32(8), text(value));
const number = (key, value) => cat(text(key), u32(4), u32(value));
const factor = (key, value) => cat(text(key), u32(6), f32(value));
const array = (key, type, count, ...elements) => cat(text(key), u32(9), u32(type), u64(count), ...elements);

const KIND = [string("general.type", "adapter"), string("adapter.type", "lora"), factor("adapter.lora.alpha", 4)];
const ENTRIES = [string("general.architecture", "qwen2"), ...KIND];
const info = (name, shape, { type = 0, offset = 0, dimensions = shape.length } = {}) =>
  cat(text(name), u32(dimensions), shape.map(u64), u32(type), u64(offset));

const A = "blk.0.attn_q.weight.lora_a";
const B = "blk.0.attn_q.weight.lora_b";
const PAIR = [info(A, [4, 2]), info(B, [2, 3], { offset: 32 })];
const DATA = cat(floats(8), floats(6));

function file({
  version = 3,
  entries = ENTRIES,
  tensors = PAIR,
  entryCount = entries.length,
  tensorCount = tensors.length,
  data = DATA,
  alignment = 32,
} = {}) {
  const header = cat(MAGIC, u32(version), u64(tensorCount), u64(entryCount), entries, tensors);
  return cat(header, padding(header.length, alignment), data);
}

const withEntry = (...extra) => file({ entries: [...ENTRIES, ...extra] });
const withTensors = (...tensors) => file({ tensors });
const ofKind = (...kind) => file({ entries: [ENTRIES[0], ...kind] });
const llama = (...extra) => file({ entries: [string("general.architecture", "llama"), ...KIND, ...extra] });
const heads = (count) => number("llama.attention.head_count", count);

/** name: [code, bytes] */
export const gguf = {
  // What the others are made from: nothing is wrong with it.
  sound: [null, file()],
  empty: ["truncated", u8()],
  "magic-only": ["truncated", MAGIC],
  "other-magic": ["not-this-format", cat(ascii("GGML"), file().subarray(4))],
  "version-0": ["unsupported-version", file({ version: 0 })],
  "version-1": ["unsupported-version", file({ version: 1 })],
  "version-4": ["unsupported-version", file({ version: 4 })],
  "big-endian": ["unsupported-version", file({ version: 0x03000000 })],
  "tensor-count-2-63": ["bad-header", file({ tensorCount: 2n ** 63n })],
  "tensor-count-minus-1": ["bad-header", file({ tensorCount: -1 })],
  "tensor-count-a-million": ["truncated", file({ tensorCount: 1_000_000 })],
  "tensor-count-one-more": ["bad-name", file({ tensorCount: 3 })],
  "entry-count-2-63": ["bad-header", file({ entryCount: 2n ** 63n })],
  "entry-count-2-40": ["truncated", file({ entryCount: 2n ** 40n })],
  "key-length-2-63": ["bad-header", file({ entries: [cat(u64(2n ** 63n), ascii("x"))] })],
  "key-length-2-32": ["truncated", file({ entries: [cat(u64(2n ** 32n), ascii("x"))] })],
  "text-length-2-62": ["bad-header", withEntry(cat(text("k"), u32(8), u64(2n ** 62n)))],
  "text-length-2-40": ["truncated", withEntry(cat(text("k"), u32(8), u64(2n ** 40n)))],
  "empty-key": ["bad-name", withEntry(string("", "x"))],
  "key-not-utf-8": ["bad-name", withEntry(string("\xff\xfe", "x"))],
  "text-not-utf-8": ["bad-name", withEntry(string("general.name", "\xc3\x28"))],
  "duplicate-key": ["duplicate-name", withEntry(string("general.architecture", "qwen2"))],
  "unknown-value-type": ["bad-header", withEntry(cat(text("k"), u32(13), u32(0)))],
  "value-type-2-32": ["bad-header", withEntry(cat(text("k"), u32(0xffffffff)))],
  "array-of-arrays": ["bad-header", withEntry(array("k", 9, 1, u32(9), u64(1)))],
  "array-length-2-63": ["bad-header", withEntry(array("k", 0, 2n ** 63n))],
  "array-length-2-40": ["truncated", withEntry(array("k", 12, 2n ** 40n))],
  "array-of-lying-texts": ["truncated", withEntry(array("k", 8, 3, u64(1), u8(65), u64(2n ** 50n), u64(0)))],
  "alignment-0": ["bad-header", withEntry(number("general.alignment", 0))],
  "alignment-24": ["bad-header", withEntry(number("general.alignment", 24))],
  "alignment-as-text": ["bad-header", withEntry(string("general.alignment", "32"))],
  "alignment-2-31": ["truncated", withEntry(number("general.alignment", 2 ** 31))],
  "model-not-adapter": ["not-this-format", ofKind(string("general.type", "model"))],
  "no-kind": ["bad-config", ofKind()],
  "kind-as-number": ["bad-config", ofKind(number("general.type", 1))],
  "no-architecture": ["bad-config", file({ entries: KIND })],
  "architecture-proto": [
    "unsupported-variant",
    file({ entries: [string("general.architecture", "__proto__"), ...KIND] }),
  ],
  "architecture-constructor": [
    "unsupported-variant",
    file({ entries: [string("general.architecture", "constructor"), ...KIND] }),
  ],
  "another-kind-of-adapter": ["unsupported-variant", ofKind(KIND[0], string("adapter.type", "dora"))],
  "activated-lora": ["unsupported-variant", withEntry(array("adapter.alora.invocation_tokens", 4, 1, u32(7)))],
  "alpha-as-text": ["bad-value", ofKind(KIND[0], KIND[1], string("adapter.lora.alpha", "4"))],
  "alpha-as-count": ["bad-value", ofKind(KIND[0], KIND[1], number("adapter.lora.alpha", 4))],
  "alpha-nan": ["bad-value", ofKind(KIND[0], KIND[1], factor("adapter.lora.alpha", Number.NaN))],
  "alpha-infinite": ["bad-value", ofKind(KIND[0], KIND[1], factor("adapter.lora.alpha", Number.POSITIVE_INFINITY))],
  "tensor-without-a-name": ["bad-name", withTensors(info("", [4, 2]), PAIR[1])],
  "tensor-name-of-64-bytes": ["bad-name", withTensors(info("x".repeat(64), [4, 2]), PAIR[1])],
  "tensor-name-2-63": ["bad-header", withTensors(cat(u64(2n ** 63n), ascii("x")), PAIR[1])],
  "tensor-name-not-utf-8": ["bad-name", withTensors(info("\xff.lora_a", [4, 2]), PAIR[1])],
  "duplicate-tensor": ["duplicate-name", withTensors(PAIR[0], info(A, [2, 3], { offset: 32 }))],
  "five-dimensions": ["bad-shape", withTensors(info(A, [4, 2, 1, 1, 1]), PAIR[1])],
  "dimensions-2-32": ["bad-shape", withTensors(info(A, [4, 2], { dimensions: 0xffffffff }), PAIR[1])],
  "no-dimensions": ["bad-shape", withTensors(info(A, []), info(B, [2, 3], { offset: 32 }))],
  "dimension-2-63": ["bad-header", withTensors(info(A, [2n ** 63n, 2]), PAIR[1])],
  "dimension-minus-1": ["bad-header", withTensors(info(A, [-1, 2]), PAIR[1])],
  "shape-product-overflows": ["bad-shape", withTensors(info(A, [2n ** 52n, 2n ** 52n]), PAIR[1])],
  "shape-overflow-behind-a-zero": [
    "bad-shape",
    file({ tensors: [info(A, [2n ** 52n, 2n ** 52n, 0]), info(B, [2, 3])], data: floats(6) }),
  ],
  "shape-of-a-terabyte": ["truncated", withTensors(info(A, [2n ** 38n, 1]), PAIR[1])],
  "type-unknown": ["unsupported-dtype", withTensors(info(A, [4, 2], { type: 999 }), PAIR[1])],
  "type-q4": ["unsupported-dtype", withTensors(info(A, [32, 2], { type: 2 }), PAIR[1])],
  "type-wider-than-the-data": ["truncated", file({ data: cat(floats(8), floats(3)) })],
  "q8-row-of-no-blocks": ["bad-shape", withTensors(info(A, [4, 2], { type: 8 }), PAIR[1])],
  "offset-out-of-bounds": ["bad-offset", withTensors(PAIR[0], info(B, [2, 3], { offset: 2 ** 40 }))],
  "offset-2-63": ["bad-header", withTensors(PAIR[0], info(B, [2, 3], { offset: 2n ** 63n }))],
  "tensors-overlap": ["bad-offset", withTensors(PAIR[0], info(B, [2, 3], { offset: 0 }))],
  "tensors-out-of-order": ["bad-offset", withTensors(info(B, [2, 3], { offset: 32 }), info(A, [4, 2]))],
  "gap-between-tensors": ["bad-offset", withTensors(PAIR[0], info(B, [2, 3], { offset: 64 }))],
  "data-cut-off": ["truncated", file().subarray(0, -1)],
  "header-cut-off": ["truncated", file().subarray(0, 150)],
  "bytes-after-the-end": ["bad-offset", cat(file(), Buffer.alloc(64))],
  "a-without-b": ["missing-tensor", file({ tensors: [PAIR[0]], data: floats(8) })],
  "b-without-a": ["missing-tensor", file({ tensors: [info(B, [2, 3])], data: floats(6) })],
  "other-suffix": ["unexpected-tensor", withTensors(info("blk.0.attn_q.weight.lora_c", [4, 2]), PAIR[1])],
  "no-tensors": ["missing-tensor", file({ tensors: [], data: u8() })],
  "norms-only": ["missing-tensor", file({ tensors: [info("blk.0.attn_norm.weight", [8])], data: floats(8) })],
  "module-proto": [
    "unexpected-tensor",
    withTensors(
      info("blk.0.__proto__.weight.lora_a", [4, 2]),
      info("blk.0.__proto__.weight.lora_b", [2, 3], { offset: 32 }),
    ),
  ],
  "module-constructor": [
    "unexpected-tensor",
    withTensors(
      info("blk.0.constructor.weight.lora_a", [4, 2]),
      info("blk.0.constructor.weight.lora_b", [2, 3], { offset: 32 }),
    ),
  ],
  "module-path-traversal": [
    "unexpected-tensor",
    withTensors(info("../../etc/passwd.lora_a", [4, 2]), info("../../etc/passwd.lora_b", [2, 3], { offset: 32 })),
  ],
  "block-number-huge": [
    "unexpected-tensor",
    withTensors(
      info("blk.99999999999999.attn_q.weight.lora_a", [4, 2]),
      info("blk.99999999999999.attn_q.weight.lora_b", [2, 3], { offset: 32 }),
    ),
  ],
  "ranks-differ": ["bad-shape", withTensors(PAIR[0], info(B, [3, 2], { offset: 32 }))],
  "rank-0": ["bad-shape", file({ tensors: [info(A, [4, 0]), info(B, [0, 3])], data: u8() })],
  "nan-in-a": ["not-finite", patched(file(), file().length - DATA.length, f32(Number.NaN))],
  "infinity-in-b": ["not-finite", patched(file(), file().length - 4, f32(Number.POSITIVE_INFINITY))],
  "rows-in-an-unknown-order": ["needs-base", llama()],
  "heads-do-not-divide": ["needs-base", llama(heads(7))],
  "heads-0": ["bad-config", llama(heads(0))],
  "heads-2-31": ["needs-base", llama(heads(2 ** 31))],
};
