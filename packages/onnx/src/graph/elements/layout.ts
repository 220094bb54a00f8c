import { OnnxError } from "../../base/errors.js";
import { intOf, intsOf } from "../attributes.js";
import { elementCount } from "../dtype.js";
import { describe } from "../order.js";
import type { EvaluationContext, Evaluator } from "./context.js";
import { type Dense, dense } from "./dense.js";
import { broadcastDims, broadcastStrides, frontAxis, offsets, stridesOf } from "./indexing.js";

/** A view of a tensor: other dimensions, strides and a first element. */
function view(x: Dense, dims: readonly number[], strides: readonly number[], base = 0): Dense {
  return { dtype: x.dtype, dims, data: Float64Array.from(offsets(dims, strides, base), (place) => x.data[place]!) };
}

function refuse({ node }: EvaluationContext, problem: string): OnnxError {
  return new OnnxError("shape-mismatch", describe(node), problem, "Feed the sizes that the model was made for");
}

function reshaped(context: EvaluationContext, x: Dense, dims: readonly number[]): Dense[] {
  const areSizes = dims.every((size) => Number.isInteger(size) && size >= 0);
  if (areSizes && elementCount(dims) === x.data.length) return [{ ...x, dims }];
  throw refuse(context, `${x.dims.join("x")} cannot be reshaped to ${dims.join("x")}`);
}

export const reshape: Evaluator = (context) => {
  const x = context.input(0);
  const keepsZero = intOf(context.node.attributes, "allowzero", 0) === 1;
  const wanted = (context.ints(1, "shape") ?? []).map((size, axis) =>
    size === 0 && !keepsZero ? x.dims[axis]! : size,
  );
  const rest = elementCount(wanted.filter((size) => size !== -1));
  return reshaped(
    context,
    x,
    wanted.map((size) => (size === -1 ? x.data.length / rest : size)),
  );
};

export const flatten: Evaluator = (context) => {
  const x = context.input(0);
  const given = intOf(context.node.attributes, "axis", 1);
  const axis = given < 0 ? given + x.dims.length : given;
  return reshaped(context, x, [elementCount(x.dims.slice(0, axis)), elementCount(x.dims.slice(axis))]);
};

/** An empty list of axes is none, as onnxruntime has it: all that are of size 1. */
export const squeeze: Evaluator = (context) => {
  const x = context.input(0);
  const axes = (context.ints(1, "axes") ?? []).map((axis) => frontAxis(axis, x.dims.length));
  const isKept = (size: number, axis: number) => (axes.length === 0 ? size !== 1 : !axes.includes(axis));
  return reshaped(context, x, x.dims.filter(isKept));
};

export const unsqueeze: Evaluator = (context) => {
  const x = context.input(0);
  const given = context.ints(1, "axes") ?? [];
  const rank = x.dims.length + given.length;
  const axes = new Set(given.map((axis) => frontAxis(axis, rank)));
  const rest = x.dims.values();
  return reshaped(
    context,
    x,
    Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : (rest.next().value ?? 1))),
  );
};

export const transpose: Evaluator = (context) => {
  const x = context.input(0);
  const order = intsOf(context.node.attributes, "perm") ?? x.dims.map((_, axis) => axis).reverse();
  const strides = stridesOf(x.dims);
  return [
    view(
      x,
      order.map((axis) => x.dims[axis]!),
      order.map((axis) => strides[axis]!),
    ),
  ];
};

export const expand: Evaluator = (context) => {
  const x = context.input(0);
  const wanted = [...context.input(1).data];
  if (wanted.some((size) => !(size >= 0))) throw refuse(context, `${wanted.join("x")} is no shape`);
  const dims = broadcastDims(x.dims, wanted);
  return [view(x, dims, broadcastStrides(x.dims, dims))];
};

export const tile: Evaluator = (context) => {
  const x = context.input(0);
  const repeats = [...context.input(1).data];
  if (repeats.length !== x.dims.length || repeats.some((times) => !(times >= 0)))
    throw refuse(context, `${x.dims.join("x")} cannot be repeated ${repeats.join("x")} times`);
  const strides = stridesOf(x.dims);
  const pairs = x.dims.flatMap((size, axis) => [repeats[axis]!, size]);
  const repeated = view(
    x,
    pairs,
    strides.flatMap((stride) => [0, stride]),
  );
  return [{ ...repeated, dims: x.dims.map((size, axis) => size * repeats[axis]!) }];
};

export const concat: Evaluator = (context) => {
  const inputs = context.node.inputs.map((_, index) => context.input(index));
  const axis = frontAxis(intOf(context.node.attributes, "axis", 0), inputs[0]!.dims.length);
  const dims = inputs[0]!.dims.with(
    axis,
    inputs.reduce((total, each) => total + each.dims[axis]!, 0),
  );
  const isFitting = ({ dims: own }: Dense) => `${own.toSpliced(axis, 1)}` === `${dims.toSpliced(axis, 1)}`;
  if (!inputs.every(isFitting)) throw refuse(context, "tensors of other sizes cannot be put side by side");
  const data = new Float64Array(elementCount(dims));
  const strides = stridesOf(dims);
  let base = 0;
  for (const each of inputs) {
    for (const [index, place] of offsets(each.dims, strides, base).entries()) data[place] = each.data[index]!;
    base += each.dims[axis]! * strides[axis]!;
  }
  return [dense(inputs[0]!.dtype, dims, data)];
};

export const split: Evaluator = (context) => {
  const x = context.input(0);
  const axis = frontAxis(intOf(context.node.attributes, "axis", 0), x.dims.length);
  const parts = context.node.outputs.length;
  const even = Math.ceil(x.dims[axis]! / parts);
  const sizes =
    context.ints(1, "split") ?? Array.from({ length: parts }, (_, part) => Math.min(even, x.dims[axis]! - part * even));
  const strides = stridesOf(x.dims);
  let base = 0;
  return sizes.map((size) => {
    const part = view(x, x.dims.with(axis, size), strides, base);
    base += size * strides[axis]!;
    return part;
  });
};

export const slice: Evaluator = (context) => {
  const x = context.input(0);
  const starts = context.ints(1, "starts") ?? [];
  const ends = context.ints(2, "ends") ?? [];
  const axes = context.ints(3, "axes") ?? starts.map((_, axis) => axis);
  const steps = context.inputs[4] ? [...context.inputs[4].data] : starts.map(() => 1);
  const dims = [...x.dims];
  const strides = stridesOf(x.dims);
  let base = 0;
  for (const [index, given] of axes.entries()) {
    const axis = frontAxis(given, x.dims.length);
    const [start, count] = sliceRange(x.dims[axis]!, starts[index]!, ends[index]!, steps[index]!);
    base += start * strides[axis]!;
    dims[axis] = count;
    strides[axis] = strides[axis]! * steps[index]!;
  }
  return [view(x, dims, strides, elementCount(dims) === 0 ? 0 : base)];
};

/**
 * The first index of a slice, and how many there are. The largest int32 and int64 are no end at all: with negative steps, the
 * slice goes on to the front. Source: onnx/docs/Operators.md, Slice; onnxruntime, slice_helper.h
 */
export function sliceRange(size: number, start: number, end: number, step: number): [first: number, count: number] {
  const clampTo = (value: number, low: number, high: number) =>
    Math.min(high, Math.max(low, value < 0 ? value + size : value));
  const first = step > 0 ? clampTo(start, 0, size) : clampTo(start, 0, size - 1);
  const isOpen = step < 0 && (end === 2 ** 31 - 1 || end >= 2 ** 63);
  const last = step > 0 ? clampTo(end, 0, size) : isOpen ? -1 : clampTo(end, -1, size - 1);
  return [first, Math.max(0, Math.ceil((last - first) / step))];
}

export const pad: Evaluator = (context) => {
  const x = context.input(0);
  const pads = context.ints(1, "pads") ?? [];
  const axes = context.inputs[3] ? [...context.inputs[3].data] : x.dims.map((_, axis) => axis);
  if ((context.node.attributes.mode?.value ?? "constant") !== "constant")
    throw refuse(context, "only constant padding is evaluated");
  const before = x.dims.map(() => 0);
  const dims = [...x.dims];
  for (const [index, given] of axes.entries()) {
    const axis = frontAxis(given, x.dims.length);
    before[axis] = pads[index]!;
    dims[axis] = dims[axis]! + pads[index]! + pads[index + axes.length]!;
  }
  const strides = stridesOf(x.dims);
  const places = dims.map((size, axis) => Array.from({ length: size }, (_, index) => index - before[axis]!));
  const fill = context.inputs[2]?.data[0] ?? 0;
  const data = Float64Array.from(offsets(dims, stridesOf(dims)), (flat) => {
    let rest = flat;
    let place = 0;
    for (const [axis, stride] of stridesOf(dims).entries()) {
      const index = places[axis]![Math.floor(rest / stride)]!;
      rest %= stride;
      if (index < 0 || index >= x.dims[axis]!) return fill;
      place += index * strides[axis]!;
    }
    return x.data[place]!;
  });
  return [dense(x.dtype, dims, data)];
};

/** The upper or the lower triangle of the last two axes. */
export const trilu: Evaluator = (context) => {
  const x = context.input(0);
  const isUpper = intOf(context.node.attributes, "upper", 1) === 1;
  const shift = context.inputs[1]?.data[0] ?? 0;
  const [rows, columns] = [x.dims.at(-2) ?? 1, x.dims.at(-1) ?? 1];
  const data = x.data.map((value, place) => {
    const distance = (place % columns) - (Math.floor(place / columns) % rows);
    return (isUpper ? distance >= shift : distance <= shift) ? value : 0;
  });
  return [{ ...x, data }];
};
