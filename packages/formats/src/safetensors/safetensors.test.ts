import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { DTYPE_BITS, type DType, FLOAT_DTYPES } from "../picture/dtype.js";
import { fromFloats, toFloats } from "../picture/floats.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.js";

const fixtures = join(import.meta.dirname, "fixtures");
const golden = (name: string) => new Uint8Array(readFileSync(join(fixtures, `${name}.safetensors`)));

describe("files that the safetensors library wrote", () => {
  test.each(["every-dtype", "shapes", "nothing", "roundings"])("%s: the same bytes come back", (name) => {
    const bytes = golden(name);
    expect(Buffer.compare(encodeSafetensors(decodeSafetensors(bytes)), bytes)).toBe(0);
  });

  test("every element type is carried", () => {
    const found = new Set([...decodeSafetensors(golden("every-dtype")).tensors.values()].map(({ dtype }) => dtype));
    // The library has no name for six-bit elements in Python.
    const wanted = Object.keys(DTYPE_BITS).filter((dtype) => !dtype.startsWith("F6_"));
    expect([...found].sort()).toEqual(wanted.sort());
  });

  test("shapes and names", () => {
    const { tensors } = decodeSafetensors(golden("shapes"));
    expect(tensors.get("scalar")).toMatchObject({ shape: [] });
    expect(toFloats(tensors.get("scalar")!, "scalar")).toEqual(Float32Array.of(2.5));
    expect(tensors.get("empty")!.data).toHaveLength(0);
    expect(toFloats(tensors.get('é "quoted" \\')!, "")).toEqual(Float32Array.of(0, 1, 2, 3, 4));
  });

  test.each(["f16", "bf16"])("float32 is rounded to %s as torch rounds it, and read back as torch reads it", (type) => {
    const { tensors } = decodeSafetensors(golden("roundings"));
    const samples = toFloats(tensors.get("samples")!, "samples");
    const rounded = tensors.get(`samples.${type}`)!;
    const dtype = type === "f16" ? "F16" : "BF16";
    expect(Buffer.compare(fromFloats(samples, [samples.length], dtype).data, rounded.data)).toBe(0);
    const back = toFloats(rounded, "");
    expect(Buffer.compare(fromFloats(back, [back.length], dtype).data, rounded.data)).toBe(0);
  });
});

test.each(["F16", "BF16"] as const)("every %s that is a number is the nearest one to itself", (dtype) => {
  const words = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  const tensor: Tensor = { dtype, shape: [65_536], data: new Uint8Array(words.buffer) };
  const values = toFloats(tensor, "");
  const back = new Uint16Array(fromFloats(values, [65_536], dtype).data.buffer);
  const wrong = words.filter((word) => !Number.isNaN(values[word]) && back[word] !== word);
  expect([...wrong]).toEqual([]);
});

const names = fc.string({ unit: "binary", maxLength: 8 }).filter((name) => name !== "__metadata__");
const tensors = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(DTYPE_BITS) as DType[])),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
  })
  .filter(({ dtype, shape }) => (shape.reduce((a, b) => a * b, 1) * DTYPE_BITS[dtype]) % 8 === 0)
  .chain(({ dtype, shape }) => {
    const length = (shape.reduce((a, b) => a * b, 1) * DTYPE_BITS[dtype]) / 8;
    return fc.uint8Array({ minLength: length, maxLength: length }).map((data): Tensor => ({ dtype, shape, data }));
  });
const files = fc.record({
  metadata: fc.array(fc.tuple(names, fc.string()), { maxLength: 3 }).map((entries) => new Map(entries)),
  tensors: fc.array(fc.tuple(names, tensors), { maxLength: 6 }).map((entries) => new Map(entries)),
});

test("what is written is read back, whatever the names, and is the only way to write it", () => {
  fc.assert(
    fc.property(files, (file) => {
      const bytes = encodeSafetensors(file);
      const back = decodeSafetensors(bytes);
      expect(new Map(back.metadata)).toEqual(file.metadata);
      expect(new Map(back.tensors)).toEqual(file.tensors);
      const turned = { metadata: back.metadata, tensors: new Map([...file.tensors].reverse()) };
      expect(Buffer.compare(encodeSafetensors(turned), bytes)).toBe(0);
    }),
    { numRuns: 300 },
  );
});

/** A file with this header and this many bytes behind it. */
function forge(header: string, dataBytes = 0, length = BigInt(new TextEncoder().encode(header).length)): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length, true);
  bytes.set(json, 8);
  return bytes;
}

const f32 = (shape: string, begin: number | string, end: number | string) =>
  `{"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]}`;

test.each([
  ["empty", new Uint8Array(), "truncated"],
  ["a header of 2^63", forge("{}", 0, 2n ** 63n), "too-large"],
  ["a header longer than the file", forge("{}", 0, 3n), "truncated"],
  ["no object", forge("[]"), "bad-header"],
  ["no JSON", forge('{"a":'), "bad-header"],
  ["a name twice", forge(`{"a":${f32("[1]", 0, 4)},"\\u0061":${f32("[1]", 0, 4)}}`, 4), "duplicate-name"],
  ["a field twice", forge(`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "duplicate-name"],
  ["deep nesting", forge(`{"a":${"[".repeat(100)}${"]".repeat(100)}}`), "bad-header"],
  ["a gap", forge(`{"a":${f32("[1]", 4, 8)}}`, 8), "bad-offset"],
  ["an overlap", forge(`{"a":${f32("[1]", 0, 4)},"b":${f32("[1]", 0, 4)}}`, 4), "bad-offset"],
  ["bytes left over", forge(`{"a":${f32("[1]", 0, 4)}}`, 5), "bad-offset"],
  ["data cut off", forge(`{"a":${f32("[2]", 0, 8)}}`, 5), "bad-offset"],
  ["a size that lies", forge(`{"a":${f32("[2]", 0, 4)}}`, 4), "bad-offset"],
  ["a product that overflows", forge(`{"a":${f32("[4294967296,4294967296]", 0, 0)}}`), "bad-shape"],
  ["a negative size", forge(`{"a":${f32("[-1]", 0, 4)}}`, 4), "bad-header"],
  ["an unknown type", forge(`{"a":{"dtype":"toString","shape":[],"data_offsets":[0,4]}}`, 4), "unsupported-dtype"],
  ["metadata that is no text", forge('{"__metadata__":{"a":1}}'), "bad-header"],
  ["a tensor called __proto__ that is none", forge('{"__proto__":1}'), "bad-header"],
] as const)("%s is refused", (_, bytes, code) => expectRefusal(() => decodeSafetensors(bytes), code));

test("a tensor may be called __proto__", () => {
  const { tensors } = decodeSafetensors(forge(`{"__proto__":${f32("[1]", 0, 4)}}`, 4));
  expect([...tensors.keys()]).toEqual(["__proto__"]);
});

test("types that are not computed with are refused by name", () => {
  for (const dtype of Object.keys(DTYPE_BITS) as DType[]) {
    const tensor: Tensor = { dtype, shape: [8], data: new Uint8Array(DTYPE_BITS[dtype]) };
    if (dtype === "F64" || (FLOAT_DTYPES as readonly DType[]).includes(dtype))
      expect(toFloats(tensor, "")).toHaveLength(8);
    else expectRefusal(() => toFloats(tensor, "here"), "unsupported-dtype", "here");
  }
});

test("every truncation is refused", () => {
  const bytes = encodeSafetensors(decodeSafetensors(golden("shapes")) satisfies TensorFile);
  for (let length = 0; length < bytes.length; length++) {
    expect(() => decodeSafetensors(bytes.subarray(0, length)), `${length}`).toThrow(/\. [A-Z]/);
  }
});

test("metadata of null are none, as MLX writes them and safetensors reads them", () => {
  const header = new TextEncoder().encode(
    '{"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}  ',
  );
  const bytes = new Uint8Array(8 + header.length + 1);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  expect(decodeSafetensors(bytes)).toMatchObject({ metadata: new Map(), tensors: new Map([["a", { shape: [1] }]]) });
});
