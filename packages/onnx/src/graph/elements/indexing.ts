import { OnnxError } from "../../base/errors.js";
import { elementCount } from "../dtype.js";

/** Elements to the next one along each axis of a row-major tensor. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length);
  let stride = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= dims[axis]!;
  }
  return strides;
}

/** Where the elements of a view are, in row-major order: `base` plus index times stride, for every index below `dims`. */
export function offsets(dims: readonly number[], strides: readonly number[], base = 0): Int32Array {
  const all = new Int32Array(elementCount(dims));
  if (all.length === 0) return all;
  all[0] = base;
  let filled = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    const size = filled;
    for (let index = 1; index < dims[axis]!; index++) {
      const step = index * strides[axis]!;
      for (let each = 0; each < size; each++) all[filled++] = all[each]! + step;
    }
  }
  return all;
}

/** Strides with which a tensor is read as if it had the dimensions that it is broadcast to. */
export function broadcastStrides(dims: readonly number[], to: readonly number[]): number[] {
  const lead = to.length - dims.length;
  const strides = stridesOf(dims);
  return to.map((_, axis) => (axis < lead || dims[axis - lead] === 1 ? 0 : strides[axis - lead]!));
}

/** The dimensions of tensors that are broadcast together. Source: onnx/docs/Broadcasting.md, multidirectional */
export function broadcastDims(...all: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...all.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = all.map((dims) => dims[axis - rank + dims.length] ?? 1);
    const size = sizes.find((each) => each !== 1) ?? 1;
    if (sizes.every((each) => each === 1 || each === size)) return size;
    const problem = `${all.map((dims) => dims.join("x")).join(" and ")} cannot be broadcast together`;
    throw new OnnxError("shape-mismatch", "tensor", problem, "Give tensors whose sizes are equal or 1");
  });
}

/** An axis counted from the front. @throws OnnxError `out-of-range` */
export function frontAxis(axis: number, rank: number): number {
  const front = axis < 0 ? axis + rank : axis;
  if (front >= 0 && front < Math.max(1, rank)) return front;
  const problem = `axis ${axis} of a tensor of rank ${rank}`;
  throw new OnnxError("out-of-range", "tensor", problem, "Give an axis that the tensor has");
}
