import { FormatError } from "../base/errors.js";
import type { FloatDType } from "../picture/dtype.js";
import { isFloatDType } from "../picture/dtype.js";
import { firstNotFinite, fromFloats, toFloats } from "../picture/floats.js";
import { type LoraTarget, scalingOf } from "../picture/lora-file.js";
import type { TensorInfo } from "../safetensors/header.js";

/** What is to be done to one tensor of a base model, some of its rows at a time. */
export interface TensorChange {
  /** Rows may be changed in pieces, of at least one row. */
  readonly rows: number;
  /** The new bytes of the rows from `first` on. @throws FormatError `not-finite` */
  apply(bytes: Uint8Array, first: number): Uint8Array;
}

/** weights + sign * scaling * A B, in the layout in which the weights lie. */
export function productChange(name: string, info: TensorInfo, target: LoraTarget, sign: 1 | -1): TensorChange {
  const { rank, inFeatures, outFeatures, loraA, loraB } = target;
  const isInOut = target.kind === "embedding" || target.weightLayout === "in-out";
  const shape = isInOut ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
  const dtype = checkInfo(name, info, shape);
  const [rows, cols] = shape as [number, number];
  const [left, right] = isInOut ? [loraA, loraB] : [loraB, loraA];
  const scaling = sign * scalingOf(target);
  return changeOf(name, dtype, rows, cols, (values, first) => {
    for (let row = 0; row < values.length / cols; row++) {
      const part = values.subarray(row * cols, (row + 1) * cols);
      // Float64 sums, rounded once, so that merging and unmerging differ by no more than the weights' own rounding.
      const sums = Float64Array.from(part);
      for (let r = 0; r < rank; r++) {
        const factor = scaling * left[r * rows + first + row]!;
        for (let i = 0; i < cols; i++) sums[i]! += factor * right[r * cols + i]!;
      }
      part.set(sums);
    }
  });
}

/** bias + sign * what the adapter adds. */
export function biasChange(name: string, info: TensorInfo, bias: Float32Array, sign: 1 | -1): TensorChange {
  const dtype = checkInfo(name, info, [bias.length]);
  return changeOf(name, dtype, bias.length, 1, (values, first) => {
    for (let i = 0; i < values.length; i++) values[i]! += sign * bias[first + i]!;
  });
}

/** Other values in the place of these. */
export function replacement(
  name: string,
  info: TensorInfo,
  values: Float32Array,
  shape: readonly number[],
): TensorChange {
  const dtype = checkInfo(name, info, shape);
  const { data } = fromFloats(values, shape, dtype);
  const rows = shape[0] ?? 1;
  const rowBytes = data.length / rows;
  return { rows, apply: (bytes, first) => data.subarray(first * rowBytes, first * rowBytes + bytes.length) };
}

function changeOf(
  name: string,
  dtype: FloatDType,
  rows: number,
  cols: number,
  change: (values: Float32Array, first: number) => void,
): TensorChange {
  return {
    rows,
    apply(bytes, first) {
      const count = bytes.length / (cols * (dtype === "F32" ? 4 : 2));
      const values = toFloats({ dtype, shape: [count, cols], data: bytes }, name);
      change(values, first);
      const { data } = fromFloats(values, [count, cols], dtype);
      checkStored(name, dtype, data, first * cols);
      return data;
    },
  };
}

/** Refuses numbers that the element type has turned into infinities. */
function checkStored(name: string, dtype: FloatDType, data: Uint8Array, first: number): void {
  const at = firstNotFinite(dtype, data);
  if (at === -1) return;
  const problem = `is no number that ${dtype} holds, once merged`;
  throw new FormatError("not-finite", `${name}[${first + at}]`, problem, "Merge into weights of a wider type");
}

function checkInfo(name: string, { dtype, shape }: TensorInfo, wanted: readonly number[]): FloatDType {
  if (!isFloatDType(dtype)) {
    throw new FormatError("unsupported-dtype", name, `holds ${dtype}`, "Merge into weights of F32, F16 or BF16");
  }
  if (shape.length === wanted.length && shape.every((size, i) => size === wanted[i])) return dtype;
  throw new FormatError(
    "bad-shape",
    name,
    `is [${shape.join(", ")}] in the model, the adapter is for [${wanted.join(", ")}]`,
    'Merge into the model that it was trained on, or pass weightLayout "in-out" or "out-in"',
  );
}
