import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { DTYPE_BITS } from "../picture/dtype.js";
import { toFloats } from "../picture/floats.js";
import { fileOf, sampleTarget } from "../picture/pictures.test-support.js";
import type { Tensor } from "../picture/tensor-file.js";
import { decodeSafetensors } from "../safetensors/safetensors.js";
import { readOnnxAdapter, writeOnnxAdapter } from "./container.js";
import { onnxAdapterFeeds } from "./feeds.js";
import { onnxAdapter } from "./onnx-adapter.js";
import { ONNX_TYPES, type OnnxDType } from "./types.js";

const file = (name: string) => new Uint8Array(readFileSync(join(import.meta.dirname, "fixtures", name)));
const expected = decodeSafetensors(file("expected.safetensors")).tensors;
const numbers = (name: string) => toFloats(expected.get(name)!, name);
const MODULES = ["model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj"];

/** x [rows, in] times w [in, out], in float64. */
function product(x: Float32Array, w: Float32Array, rows: number, width: number): number[] {
  const out = w.length / width;
  return Array.from({ length: rows * out }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += x[Math.floor(i / out) * width + k]! * w[k * out + (i % out)]!;
    return sum;
  });
}

describe("what onnxruntime's AdapterFormat wrote", () => {
  test.each(["olive", "half"])("%s: is read as A and B of each module", (name) => {
    const { targets, notes } = onnxAdapter.decode(file(`${name}.onnx_adapter`));
    const rounding = name === "half" ? 2 ** -11 : 0;
    expect(targets.map(({ module }) => module).sort()).toEqual(MODULES);
    for (const { module, rank, inFeatures, outFeatures, alpha, loraA, loraB } of targets) {
      const [a, b] = [numbers(`${module}.lora_A.weight`), numbers(`${module}.lora_B.weight`)];
      expect({ rank, alpha, inFeatures, outFeatures }).toEqual({
        rank: 2,
        alpha: 2,
        inFeatures: 12,
        outFeatures: b.length / 2,
      });
      for (let i = 0; i < a.length; i++) {
        expect(Math.abs(loraA[(i % 2) * 12 + Math.floor(i / 2)]! - a[i]!)).toBeLessThanOrEqual(
          rounding * Math.abs(a[i]!),
        );
      }
      for (let i = 0; i < b.length; i++) {
        expect(Math.abs(loraB[i]! - b[i]!)).toBeLessThanOrEqual(rounding * Math.abs(b[i]!));
      }
    }
    const versions = name === "half" ? ["1", "1"] : ["3", "7"];
    expect([...notes.values()].slice(0, 2)).toEqual(versions);
  });

  test("changes a module as onnxruntime's LoraAdapter changed it", () => {
    const x = numbers("x");
    for (const { module, loraA, loraB, outFeatures } of onnxAdapter.decode(file("olive.onnx_adapter")).targets) {
      const columns = Float32Array.from({ length: 24 }, (_, i) => loraA[(i % 2) * 12 + Math.floor(i / 2)]!);
      const delta = product(Float32Array.from(product(x, columns, 3, 12)), loraB, 3, 2);
      const name = `${module.split(".").at(-1)}.y`;
      const [withAdapter, without] = [numbers(name), numbers(`base.${name}`)];
      expect(delta.length).toBe(3 * outFeatures);
      for (const [i, value] of delta.entries()) expect(withAdapter[i]! - without[i]!).toBeCloseTo(value, 5);
    }
  });

  test("of every type can be fed", () => {
    const feeds = onnxAdapterFeeds(file("every-dtype.onnx_adapter"));
    for (const [name, { type, dims, data }] of Object.entries(feeds)) {
      if (name === "empty")
        expect({ type, dims, data }).toEqual({ type: "float32", dims: [3, 0], data: new Float32Array() });
      else {
        expect(dims).toEqual([2, 3]);
        expect(`every.${type === "bool" ? "bool" : type}`).toBe(name);
        const counted = type === "float16" ? [0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500] : [0, 1, 2, 3, 4, 5];
        expect(Array.from(data, Number)).toEqual(type === "bool" ? [0, 1, 1, 1, 1, 1] : counted);
      }
    }
    expect(Object.keys(feeds)).toHaveLength(12);
  });
});

describe("our own files", () => {
  test("are read as they were written, but for the scaling, which is in B", () => {
    const target = sampleTarget("model.layers.0.mlp.up_proj", 3, { rank: 2, alpha: 4 });
    const picture = { ...fileOf(target), notes: new Map([["onnx_adapter.adapter_version", "9"]]) };
    const read = onnxAdapter.decode(onnxAdapter.encode(picture));
    expect(read.targets).toEqual([{ ...target, alpha: 2, loraB: target.loraB.map((value) => 2 * value) }]);
    expect(read.notes.get("onnx_adapter.adapter_version")).toBe("9");
  });

  test("say what they cannot", () => {
    const encode = (fields: object) => onnxAdapter.encode(fileOf(sampleTarget("m", 1, fields)));
    expectRefusal(() => encode({ bias: new Float32Array(3) }), "unsupported-variant");
    expectRefusal(() => encode({ kind: "embedding" }), "unsupported-variant");
    const notes = new Map([["onnx_adapter.model_version", "x"]]);
    expectRefusal(() => onnxAdapter.encode({ ...fileOf(sampleTarget("m", 1)), notes }), "bad-value");
  });

  test("hold any parameters, data at multiples of 8 bytes", () => {
    const tensor = fc
      .record({
        dtype: fc.constantFrom(...(Object.keys(ONNX_TYPES) as OnnxDType[])),
        shape: fc.array(fc.nat({ max: 5 }), { maxLength: 4 }),
      })
      .chain(({ dtype, shape }) => {
        const length = (shape.reduce((count, size) => count * size, 1) * DTYPE_BITS[dtype]) / 8;
        const data = fc.uint8Array({ minLength: length, maxLength: length });
        return data.map((bytes): Tensor => ({ dtype, shape, data: bytes }));
      });
    const name = fc.string({ minLength: 1, unit: "grapheme" });
    const versions = fc.tuple(fc.integer(), fc.integer());
    const parameters = fc.array(fc.tuple(name, tensor)).map((entries) => new Map(entries));
    fc.assert(
      fc.property(versions, parameters, ([adapterVersion, modelVersion], given) => {
        const adapter = { adapterVersion, modelVersion, parameters: given };
        const bytes = writeOnnxAdapter(adapter);
        const read = readOnnxAdapter(bytes);
        expect(read).toEqual(adapter);
        for (const { data } of read.parameters.values()) expect(data.length === 0 ? 0 : data.byteOffset % 8).toBe(0);
        expect(Buffer.compare(writeOnnxAdapter(read), bytes)).toBe(0);
      }),
    );
  });
});

test("types that onnxruntime's JavaScript lacks cannot be fed", () => {
  const tensor: Tensor = { dtype: "BF16", shape: [1], data: new Uint8Array(2) };
  const bytes = writeOnnxAdapter({ adapterVersion: 1, modelVersion: 1, parameters: new Map([["a", tensor]]) });
  expectRefusal(() => onnxAdapterFeeds(bytes), "unsupported-dtype");
});
