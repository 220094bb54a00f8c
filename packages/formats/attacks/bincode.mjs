// Hostile state files of the Rust original, each with the code that it has to be refused with.
import { cat, f32, floats, u8, u16, u32, u64 } from "./bytes.mjs";

const varint = (value) =>
  value < 251 ? u8(value) : value < 65536 ? cat(u8(251), u16(value)) : cat(u8(252), u32(value));
const u64varint = (value) => cat(u8(253), u64(value));
const vector = (values) => cat(varint(values.length / 4), values);

function adapter({
  module = 0,
  a = vector(floats(8)),
  b = vector(floats(6)),
  width = 4,
  out = 3,
  rank = 2,
  scaling = 2,
} = {}) {
  return cat(varint(module), a, b, varint(width), varint(out), varint(rank), f32(scaling));
}

function file({
  dropout = 0,
  modules = cat(varint(1), varint(0)),
  flags = u8(0, 1, 0),
  adapters = [adapter()],
  count = varint(adapters.length),
  adaptations = varint(5),
} = {}) {
  return cat(varint(2), f32(4), f32(dropout), modules, varint(4), varint(3), flags, count, adapters, adaptations);
}

const withAdapter = (fields) => file({ adapters: [adapter(fields)] });

/** name: [code, bytes] */
export const bincode = {
  // What the others are made from: nothing is wrong with it.
  sound: [null, file()],
  empty: ["truncated", u8()],
  "cut-off-in-the-config": ["truncated", file().subarray(0, 7)],
  "cut-off-in-the-weights": ["truncated", file().subarray(0, 40)],
  "cut-off-at-the-end": ["truncated", file().subarray(0, -1)],
  "bytes-after-the-end": ["bad-header", cat(file(), u8(0))],
  "rank-of-128-bits": ["bad-value", cat(u8(254), Buffer.alloc(16), file())],
  "a-reserved-integer": ["bad-value", cat(u8(255), file())],
  "modules-2-63": ["bad-value", file({ modules: u64varint(2n ** 63n) })],
  "modules-2-50": ["truncated", file({ modules: u64varint(2n ** 50n) })],
  "module-unknown": ["bad-value", file({ modules: cat(varint(1), varint(9)) })],
  "module-2-32": ["bad-value", file({ modules: cat(varint(1), varint(2 ** 32 - 1)) })],
  "a-flag-of-2": ["bad-value", file({ flags: u8(0, 2, 0) })],
  "adapters-2-63": ["bad-value", file({ count: u64varint(2n ** 63n) })],
  "adapters-2-50": ["truncated", file({ count: u64varint(2n ** 50n) })],
  "adapters-one-more": ["truncated", file({ count: varint(2) })],
  "adapter-of-an-unknown-module": ["bad-value", withAdapter({ module: 200 })],
  "adapter-twice": ["duplicate-name", file({ adapters: [adapter(), adapter()] })],
  "weights-2-63": ["bad-value", withAdapter({ a: u64varint(2n ** 63n) })],
  "weights-2-62": ["bad-value", withAdapter({ a: u64varint(2n ** 62n) })],
  "weights-2-50": ["truncated", withAdapter({ a: u64varint(2n ** 50n) })],
  "weights-one-more": ["truncated", file({ adapters: [cat(varint(0), varint(1000), floats(8))] })],
  "rank-0": ["bad-shape", withAdapter({ rank: 0 })],
  "rank-too-high": ["bad-shape", withAdapter({ rank: 3 })],
  "rank-and-width-overflow": ["bad-shape", withAdapter({ rank: 2 ** 32 - 1, width: 2 ** 32 - 1 })],
  "no-weights": ["bad-shape", withAdapter({ a: varint(0), b: varint(0), rank: 0, width: 0, out: 0 })],
  "b-too-short": ["bad-shape", withAdapter({ b: vector(floats(5)) })],
  "scaling-nan": ["bad-value", withAdapter({ scaling: Number.NaN })],
  "scaling-infinite": ["bad-value", withAdapter({ scaling: Number.POSITIVE_INFINITY })],
  "dropout-nan": ["bad-value", file({ dropout: Number.NaN })],
  "dropout-1": ["bad-value", file({ dropout: 1 })],
  "nan-in-a": ["not-finite", withAdapter({ a: vector(cat(f32(Number.NaN), floats(7))) })],
  "infinity-in-b": ["not-finite", withAdapter({ b: vector(cat(f32(Number.NEGATIVE_INFINITY), floats(5))) })],
};
