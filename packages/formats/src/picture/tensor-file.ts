import { FormatError } from "../base/errors.js";
import { DTYPE_BITS, type DType } from "./dtype.js";

/** An array as a file holds it: row-major, little-endian. */
export interface Tensor {
  /** Element type. */
  readonly dtype: DType;
  /** Size of each dimension. */
  readonly shape: readonly number[];
  /** Exactly `byteLengthOf(dtype, shape)` bytes, at any alignment; often a view of the file. */
  readonly data: Uint8Array;
}

/** What most formats are underneath: named tensors, and metadata as text. */
export interface TensorFile {
  /** Texts by name. */
  readonly metadata: ReadonlyMap<string, string>;
  /** The tensors, by name. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/**
 * Number of elements of a shape.
 * @throws FormatError `bad-shape` if a dimension is not a count, or the product exceeds 2^53
 */
export function elementCount(shape: readonly number[], where: string): number {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) return refuseShape(shape, where);
    count *= size;
  }
  // A zero hides an overflow before it; like safetensors, the product of all of them has to be exact.
  return Number.isSafeInteger(count) ? count : refuseShape(shape, where);
}

/** Number of bytes of a tensor. @throws FormatError `bad-shape` */
export function byteLengthOf(dtype: DType, shape: readonly number[], where: string): number {
  const bits = elementCount(shape, where) * DTYPE_BITS[dtype];
  return bits % 8 === 0 && Number.isSafeInteger(bits) ? bits / 8 : refuseShape(shape, where);
}

function refuseShape(shape: readonly number[], where: string): never {
  const text = shape.length > 8 ? `${shape.slice(0, 8).join(", ")}, …` : shape.join(", ");
  throw new FormatError("bad-shape", where, `has the shape [${text}]`, "Write the file again");
}
