// Hostile .onnx_adapter files, each with the code that it has to be refused with.
import { ascii, cat, f32, floats, patched, u8, u16, u32, u64 } from "./bytes.mjs";

const A = "m.lora_A.weight";
const B = "m.lora_B.weight";

/**
 * A FlatBuffer written front to back: header, root table, vector of parameters, then each parameter's table, name, dims
 * and data. `at` says where things lie, so that they can be overwritten.
 */
function build(parameters, { format = 1 } = {}) {
  const parts = [];
  const at = { root: 0, parameters: [] };
  let length = 0;
  const put = (bytes, alignment = 4) => {
    const pad = (alignment - (length % alignment)) % alignment;
    parts.push(Buffer.alloc(pad), bytes);
    length += pad + bytes.length;
    return length - bytes.length;
  };
  const fixups = [];
  const link = (from, to) => fixups.push([from, to]);
  put(cat(u32(0), ascii("TORT")));
  at.rootVtable = put(cat(u16(12), u16(20), u16(4), u16(8), u16(12), u16(16)));
  at.root = put(cat(u32(0), u32(format), u32(1), u32(1), u32(0)));
  link(0, at.root);
  fixups.push([at.root, at.root + (at.root - at.rootVtable)]);
  at.vector = put(cat(u32(parameters.length), Buffer.alloc(4 * parameters.length)));
  link(at.root + 16, at.vector);
  const vtable = put(cat(u16(12), u16(20), u16(4), u16(8), u16(12), u16(16)));
  parameters.forEach(({ name, dims, type = 1, data }, i) => {
    const table = put(cat(u32(0), u32(0), u32(0), u32(type), u32(0)));
    fixups.push([table, table + (table - vtable)]);
    link(at.vector + 4 + 4 * i, table);
    const text = put(cat(u32(name.length), ascii(name), u8(0)));
    put(u8(), 8);
    const shape = put(cat(u32(0), u32(dims.length), dims.map(u64))) + 4;
    put(u8(), 8);
    const raw = put(cat(u32(0), u32(data.length), data)) + 4;
    link(table + 4, text);
    link(table + 8, shape);
    link(table + 16, raw);
    at.parameters.push({ table, vtable, text, shape, raw });
  });
  const bytes = cat(...parts, Buffer.alloc((8 - (length % 8)) % 8));
  for (const [from, to] of fixups) bytes.writeInt32LE(to - from, from);
  return { bytes, at };
}

const PAIR = [
  { name: A, dims: [4, 2], data: floats(8) },
  { name: B, dims: [2, 3], data: floats(6) },
];
const good = build(PAIR);
const [first, second] = good.at.parameters;
const patch = (at, replacement) => patched(good.bytes, at, replacement);
const withFirst = (change) => build([{ ...PAIR[0], ...change }, PAIR[1]]).bytes;
const relative = (from, to) => u32(to - from);

/** name: [code, bytes] */
export const onnxAdapter = {
  // What the others are made from: nothing is wrong with it.
  sound: [null, good.bytes],
  empty: ["not-this-format", u8()],
  "other-identifier": ["not-this-format", patch(4, ascii("ORTM"))],
  "identifier-only": ["bad-offset", cat(u32(8), ascii("TORT"))],
  "root-offset-0": ["bad-offset", patch(0, u32(0))],
  "root-offset-2-32": ["bad-offset", patch(0, u32(0xffffffff))],
  "root-offset-past-the-end": ["bad-offset", patch(0, u32(good.bytes.length))],
  "vtable-before-the-file": ["bad-offset", patch(good.at.root, u32(0x7fffffff))],
  "vtable-past-the-end": ["bad-offset", patch(good.at.root, u32(-0x7fffffff))],
  "vtable-of-2-bytes": ["bad-offset", patch(good.at.rootVtable, u16(2))],
  "vtable-of-odd-bytes": ["bad-offset", patch(good.at.rootVtable, u16(13))],
  "vtable-of-64-kb": ["bad-offset", patch(good.at.rootVtable, u16(65534))],
  "table-of-2-bytes": ["bad-offset", patch(good.at.rootVtable + 2, u16(2))],
  "table-of-64-kb": ["bad-offset", patch(good.at.rootVtable + 2, u16(65535))],
  "field-outside-its-table": ["bad-offset", patch(good.at.rootVtable + 10, u16(200))],
  "field-inside-the-vtable-offset": ["bad-offset", patch(good.at.rootVtable + 10, u16(2))],
  "format-version-0": ["unsupported-version", build(PAIR, { format: 0 }).bytes],
  "format-version-2": ["unsupported-version", build(PAIR, { format: 2 }).bytes],
  "parameters-offset-0": ["bad-offset", patch(good.at.root + 16, u32(0))],
  "parameters-offset-2-31": ["bad-offset", patch(good.at.root + 16, u32(0x80000000))],
  "parameters-a-million": ["bad-offset", patch(good.at.vector, u32(1_000_000))],
  "parameters-2-32": ["bad-offset", patch(good.at.vector, u32(0xffffffff))],
  "parameter-that-is-the-root": ["bad-offset", patch(good.at.vector + 4, u32(good.at.root - good.at.vector - 4))],
  "parameter-that-is-itself": ["bad-offset", patch(good.at.vector + 4, u32(0))],
  "parameter-twice": ["duplicate-name", patch(good.at.vector + 8, relative(good.at.vector + 8, first.table))],
  "vtable-that-is-its-table": ["bad-offset", patch(first.table, u32(0))],
  "name-length-2-32": ["bad-offset", patch(first.text, u32(0xffffffff))],
  "name-without-an-end": ["bad-offset", patch(first.text + 4 + A.length, u8(1))],
  "name-not-utf-8": ["bad-name", withFirst({ name: "\xff\xfe.lora_A.weight" })],
  "name-empty": ["bad-name", withFirst({ name: "" })],
  "name-absent": ["bad-name", patch(first.vtable + 4, u16(0))],
  "duplicate-name": ["duplicate-name", build([PAIR[0], PAIR[0]]).bytes],
  "dims-absent": ["bad-header", patch(first.vtable + 6, u16(0))],
  "dims-of-17": ["bad-shape", withFirst({ dims: Array(17).fill(1) })],
  "dims-length-2-32": ["bad-offset", patch(first.shape, u32(0xffffffff))],
  "dims-negative": ["bad-shape", withFirst({ dims: [-4, -2] })],
  "dims-2-63": ["bad-shape", withFirst({ dims: [2n ** 63n - 1n, 2] })],
  "dims-product-overflows": ["bad-shape", withFirst({ dims: [2n ** 32n, 2n ** 32n] })],
  "dims-product-wraps-to-0": ["bad-shape", withFirst({ dims: [2n ** 32n, 2n ** 32n], data: u8() })],
  "type-undefined": ["unsupported-dtype", withFirst({ type: 0 })],
  "type-text": ["unsupported-dtype", withFirst({ type: 8 })],
  "type-complex": ["unsupported-dtype", withFirst({ type: 15 })],
  "type-unknown": ["unsupported-dtype", withFirst({ type: 0xffffffff })],
  "type-wider-than-the-data": ["bad-shape", withFirst({ type: 11 })],
  "type-narrower-than-the-data": ["bad-shape", withFirst({ type: 10 })],
  "type-of-whole-numbers": ["unsupported-dtype", withFirst({ type: 6 })],
  "data-absent": ["bad-header", patch(first.vtable + 10, u16(0))],
  "data-length-2-32": ["bad-offset", patch(first.raw, u32(0xffffffff))],
  "data-one-byte-short": ["bad-shape", withFirst({ data: floats(8).subarray(1) })],
  "data-shared": ["bad-offset", shared()],
  "cut-off": ["bad-offset", good.bytes.subarray(0, second.raw + 8)],
  "a-without-b": ["missing-tensor", build([PAIR[0]]).bytes],
  "b-without-a": ["missing-tensor", build([PAIR[1]]).bytes],
  "no-parameters": ["missing-tensor", build([]).bytes],
  "other-name": ["unexpected-tensor", withFirst({ name: "m.lora_C.weight" })],
  "name-of-other-characters": ["unexpected-tensor", withFirst({ name: "../../etc/passwd" })],
  quantized: ["unsupported-variant", withFirst({ name: "m.lora_A.quant.weight" })],
  "ranks-differ": ["bad-shape", withFirst({ dims: [2, 4] })],
  "one-dimension": ["bad-shape", withFirst({ dims: [8] })],
  "rank-0": [
    "bad-shape",
    build([
      { name: A, dims: [4, 0], data: u8() },
      { name: B, dims: [0, 3], data: u8() },
    ]).bytes,
  ],
  "nan-in-a": ["not-finite", withFirst({ data: cat(f32(Number.NaN), floats(7)) })],
};

/** A hundred parameters that all have the bytes of the first: little in the file, much when it is copied. */
function shared() {
  const parameters = Array.from({ length: 100 }, (_, i) => ({
    name: `m${i}.lora_A.weight`,
    dims: [200, 2],
    data: u8(),
  }));
  parameters[0].data = floats(400);
  const { bytes, at } = build(parameters);
  for (const { table } of at.parameters) relative(table + 16, at.parameters[0].raw).copy(bytes, table + 16);
  // Offsets lead forward only, so the shared bytes are moved behind all that refer to them.
  const raw = bytes.subarray(at.parameters[0].raw, at.parameters[0].raw + 4 + 1600);
  const end = cat(bytes, raw);
  for (const { table } of at.parameters) relative(table + 16, bytes.length).copy(end, table + 16);
  return end;
}
