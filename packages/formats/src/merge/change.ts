import { FormatError } from "../base/errors.js";
import { type FloatDType, isFloatDType } from "../picture/dtype.js";
import { firstNotFinite, fromFloats, toFloats } from "../picture/floats.js";
import { type LoraTarget, scalingOf } from "../picture/lora-file.js";
import type { Tensor } from "../picture/tensor-file.js";
import type { TensorInfo } from "../safetensors/header.js";

/** A change of one tensor of a base model that can be made some rows at a time. */
export interface RowsChange {
  /** Rows may be changed in pieces, of at least one row. */
  readonly rows: number;
  /** The new bytes of the rows from `first` on. @throws FormatError `not-finite` */
  apply(bytes: Uint8Array, first: number): Uint8Array;
}

/** What becomes of one tensor of a base model: other rows, or another tensor, whose shape may differ. */
export type TensorChange = RowsChange | { readonly whole: Tensor };

/** The rows of a matrix as they are stored: for each output, or for each input. */
interface Matrix {
  readonly name: string;
  readonly dtype: FloatDType;
  readonly rows: number;
  readonly cols: number;
  readonly target: LoraTarget;
  /** scaling, or -scaling to take a change back */
  readonly scaling: number;
  readonly isInOut: boolean;
}

/**
 * weights + sign * scaling * A B in the layout in which the weights lie, and of DoRA the weights that it makes.
 * @throws FormatError `bad-shape`, `unsupported-dtype`, `needs-base` to take DoRA back
 */
export function productChange(name: string, info: TensorInfo, target: LoraTarget, sign: 1 | -1): RowsChange {
  const { inFeatures, outFeatures, magnitude } = target;
  const isInOut = target.kind === "embedding" || target.weightLayout === "in-out";
  const [rows, cols] = isInOut ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
  const dtype = checkInfo(name, info, target, isInOut);
  const matrix = { name, dtype, rows, cols, target, scaling: sign * scalingOf(target), isInOut };
  if (magnitude === undefined) return changeOf(matrix, (values, first) => addProduct(matrix, values, first));
  if (sign === 1) return doraChange(matrix, magnitude);
  const problem = "was merged with DoRA, which keeps nothing to undo it by";
  throw new FormatError("needs-base", name, problem, "Keep the base model");
}

/** Float64 sums, rounded once, so that merging and unmerging differ by no more than the weights' own rounding. */
function addProduct({ target, rows, cols, scaling, isInOut }: Matrix, values: Float64Array, first: number): void {
  const { rank, loraA, loraB } = target;
  const [left, right] = isInOut ? [loraA, loraB] : [loraB, loraA];
  for (let row = 0; row < values.length / cols; row++) {
    const sums = values.subarray(row * cols, (row + 1) * cols);
    for (let r = 0; r < rank; r++) {
      const factor = scaling * left[r * rows + first + row]!;
      for (let i = 0; i < cols; i++) sums[i]! += factor * right[r * cols + i]!;
    }
  }
}

/**
 * m_o * V_o / |V_o|, of V = W + scaling * (A B)^T: Liu et al. 2024, equation 5. Where rows are those of inputs, a norm needs
 * all of them at once.
 */
function doraChange(matrix: Matrix, magnitude: Float32Array): RowsChange {
  const { rows, cols, isInOut } = matrix;
  const change = changeOf(matrix, (values, first) => {
    addProduct(matrix, values, first);
    const outputs = isInOut ? cols : values.length / cols;
    const [step, width] = isInOut ? [cols, rows] : [1, cols];
    for (let o = 0; o < outputs; o++) {
      const start = isInOut ? o : o * cols;
      let squares = 0;
      for (let i = 0; i < width; i++) squares += values[start + i * step]! ** 2;
      const factor = magnitude[first + o]! / Math.sqrt(squares);
      for (let i = 0; i < width; i++) values[start + i * step]! *= factor;
    }
  });
  return isInOut ? { ...change, rows: 1 } : change;
}

/** bias + sign * what the adapter adds. */
export function biasChange(name: string, info: TensorInfo, target: LoraTarget, sign: 1 | -1): RowsChange {
  const { bias = new Float32Array(target.outFeatures) } = target;
  const dtype = floatsOnly(name, info);
  if (info.shape.length !== 1 || info.shape[0] !== bias.length) refuseShape(name, info, [bias.length]);
  return changeOf({ name, dtype, cols: 1, rows: bias.length }, (values, first) => {
    for (let i = 0; i < values.length; i++) values[i]! += sign * bias[first + i]!;
  });
}

/**
 * Other values in the place of these, in their type. Only the number of rows may differ, since a vocabulary can have grown.
 * @throws FormatError `bad-shape`, `unsupported-dtype`
 */
export function replacement(name: string, info: TensorInfo, tensor: Tensor): { readonly whole: Tensor } {
  const dtype = floatsOnly(name, info);
  const [, ...rest] = tensor.shape;
  const isSameWidth = info.shape.length === tensor.shape.length && rest.every((size, i) => size === info.shape[i + 1]);
  if (!isSameWidth) refuseShape(name, info, tensor.shape);
  const whole = fromFloats(toFloats(tensor, name), tensor.shape, dtype);
  checkStored(name, dtype, whole.data, 0);
  return { whole };
}

function changeOf(
  { name, dtype, rows, cols }: Pick<Matrix, "name" | "dtype" | "rows" | "cols">,
  change: (values: Float64Array, first: number) => void,
): RowsChange {
  return {
    rows,
    apply(bytes, first) {
      const count = bytes.length / (cols * (dtype === "F32" ? 4 : 2));
      const values = Float64Array.from(toFloats({ dtype, shape: [count, cols], data: bytes }, name));
      change(values, first);
      const { data } = fromFloats(Float32Array.from(values), [count, cols], dtype);
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

function floatsOnly(name: string, { dtype }: TensorInfo): FloatDType {
  if (isFloatDType(dtype)) return dtype;
  throw new FormatError("unsupported-dtype", name, `holds ${dtype}`, "Merge into weights of F32, F16 or BF16");
}

function checkInfo(name: string, info: TensorInfo, target: LoraTarget, isInOut: boolean): FloatDType {
  const dtype = floatsOnly(name, info);
  const { kernel = [], inFeatures, outFeatures } = target;
  const channels = kernel.reduce((width, size) => width / size, inFeatures);
  const wanted = isInOut ? [inFeatures, outFeatures] : [outFeatures, channels, ...kernel];
  if (isSameShape(info.shape, wanted)) return dtype;
  return refuseShape(name, info, wanted);
}

/** A convolution whose kernel has size 1 is a linear layer, and models have either. */
function isSameShape(shape: readonly number[], wanted: readonly number[]): boolean {
  const [a, b] = [shape, wanted].map((sizes) => sizes.filter((size, i) => i < 2 || size !== 1));
  return String(a) === String(b);
}

function refuseShape(name: string, { shape }: TensorInfo, wanted: readonly number[]): never {
  const isTurned = String([...shape].reverse()) === String(wanted);
  const rows = /embed|wte|lm_head|shared/.test(name) && shape.length === 2 && shape[1] === wanted[1];
  throw new FormatError(
    "bad-shape",
    name,
    rows
      ? `has ${shape[0]} rows (tokens) in the model, and ${wanted[0]} for the adapter: tokens were added to its vocabulary`
      : `is [${shape.join(", ")}] in the model, the adapter is for [${wanted.join(", ")}]`,
    rows
      ? "Merge into the model whose embedding was resized before training, or save the adapter with save_embedding_layers=True"
      : isTurned
        ? 'Pass weightLayout "in-out" or "out-in" (--weights of the command), or merge into the model that it was trained on'
        : "Merge into the model that it was trained on",
  );
}
