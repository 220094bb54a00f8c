import { intOf, intsOf } from "../attributes.js";
import {
  addDims,
  broadcastDim,
  compareDims,
  divideDims,
  divideExactly,
  isNonNegative,
  maxDim,
  minDim,
  multiplyDims,
  productOf,
  subtractDims,
} from "../dim.js";
import type { Dim, Shape } from "../ir.js";
import {
  dtypeOf,
  frontAxis,
  hasInput,
  type Inference,
  type InferenceContext,
  intsAt,
  sameDim,
  shapeOf,
  sumDims,
  typed,
  unknownDim,
  unknownShape,
} from "./context.js";

/** A rule for operators that change the shape alone. */
function reshaping(shapeFor: (context: InferenceContext, shape: Shape) => Shape | undefined): Inference {
  return (context) => {
    const shape = shapeOf(context, 0);
    return [typed(dtypeOf(context, 0), shape && shapeFor(context, shape))];
  };
}

/** How many sizes an input that holds a shape has. */
function lengthOf(context: InferenceContext, input: number): number | undefined {
  const length = shapeOf(context, input)?.[0];
  return typeof length === "number" ? length : undefined;
}

export const reshape: Inference = (context) => {
  const attribute = intsOf(context.node.attributes, "shape");
  const wanted = attribute ?? context.known(1)?.data;
  const rank = lengthOf(context, 1);
  const shape = wanted ? reshapeTo(context, wanted) : rank === undefined ? undefined : unknownShape(context, rank);
  return [typed(dtypeOf(context, 0), shape)];
};

function reshapeTo(context: InferenceContext, wanted: readonly (Dim | undefined)[]): Shape {
  const from = shapeOf(context, 0);
  const keepsZero = intOf(context.node.attributes, "allowzero", 0) === 1;
  const sizes = wanted.map((size, axis) => (size === 0 && !keepsZero ? from?.[axis] : size === -1 ? undefined : size));
  const open = sizes.filter((size) => size === undefined).length;
  const rest = productOf(sizes.filter((size) => size !== undefined));
  const missing = open === 1 && from !== undefined && rest !== 0 ? divideExactly(productOf(from), rest) : undefined;
  return sizes.map((size, axis) => size ?? missing ?? unknownDim(context, axis));
}

/** An empty list of axes is none, as onnxruntime has it: all that are of size 1. */
export const squeeze = reshaping((context, shape) => {
  const isGiven = hasInput(context, 1) || context.node.attributes.axes !== undefined;
  const axes = intsAt(context, 1, "axes")?.map((axis) => frontAxis(axis, shape.length));
  if (axes === undefined && isGiven) return undefined;
  if (axes !== undefined && axes.length > 0) return shape.filter((_, axis) => !axes.includes(axis));
  return shape.some((size) => typeof size === "string") ? undefined : shape.filter((size) => size !== 1);
});

export const unsqueeze = reshaping((context, shape) => {
  const given = intsAt(context, 1, "axes");
  if (given === undefined) {
    const more = lengthOf(context, 1);
    return more === undefined ? undefined : unknownShape(context, shape.length + more);
  }
  const rank = shape.length + given.length;
  const axes = new Set(given.map((axis) => frontAxis(axis, rank)));
  const rest = shape.values();
  return Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : (rest.next().value ?? 1)));
});

export const flatten = reshaping((context, shape) => {
  const axis = intOf(context.node.attributes, "axis", 1);
  const front = axis < 0 ? axis + shape.length : axis;
  return [productOf(shape.slice(0, front)), productOf(shape.slice(front))];
});

export const transpose = reshaping(({ node }, shape) => {
  const order = intsOf(node.attributes, "perm");
  return order ? order.map((axis) => shape[axis] ?? 1) : shape.toReversed();
});

export const expand = reshaping((context, shape) => {
  const wanted = context.known(1)?.data;
  const length = wanted?.length ?? lengthOf(context, 1);
  if (length === undefined) return undefined;
  const rank = Math.max(length, shape.length);
  return Array.from({ length: rank }, (_, axis) => {
    const size = shape[axis - rank + shape.length] ?? 1;
    const to = axis < rank - length ? 1 : wanted?.[axis - rank + length];
    if (to !== undefined) return broadcastDim(size, to);
    return typeof size === "number" && size !== 1 ? size : unknownDim(context, axis);
  });
});

export const tile = reshaping((context, shape) => {
  const repeats = context.known(1)?.data;
  return shape.map((size, axis) => {
    const times = repeats?.[axis];
    return times === undefined ? unknownDim(context, axis) : multiplyDims(size, times);
  });
});

export const concat: Inference = (context) => {
  const { inputs, node } = context;
  const dtype = inputs.find((input) => input !== undefined)?.dtype;
  const shapes = inputs.map((input) => input?.shape);
  const known = shapes.filter((shape) => shape !== undefined);
  const first = known[0];
  if (first === undefined || known.some((shape) => shape.length !== first.length)) return [typed(dtype, undefined)];
  const axis = frontAxis(intOf(node.attributes, "axis", 1), first.length);
  const total = known.length === shapes.length ? sumDims(known.map((shape) => shape[axis ?? 0]!)) : undefined;
  const shape = first.map((_, each) =>
    each === axis ? (total ?? unknownDim(context, each)) : known.map((shape) => shape[each]!).reduce(sameDim),
  );
  return [typed(dtype, shape)];
};

export const split: Inference = (context) => {
  const { node } = context;
  const shape = shapeOf(context, 0);
  const dtype = dtypeOf(context, 0);
  const axis = shape && frontAxis(intOf(node.attributes, "axis", 0), shape.length);
  if (shape === undefined || axis === undefined) return node.outputs.map(() => typed(dtype, undefined));
  const sizes = hasInput(context, 1) ? context.known(1)?.data : intsOf(node.attributes, "split");
  const isEven = sizes === undefined && !hasInput(context, 1);
  return node.outputs.map((_, part) => {
    const size = isEven ? evenPart(shape[axis]!, node.outputs.length, part) : sizes?.[part];
    return typed(dtype, shape.with(axis, size ?? unknownDim(context, axis, part)));
  });
};

/** All parts have one size, except the last one, which may be smaller. */
function evenPart(size: Dim, parts: number, part: number): Dim | undefined {
  if (typeof size === "string") return divideExactly(size, parts);
  const even = Math.ceil(size / parts);
  return Math.max(0, Math.min(even, size - part * even));
}

export const slice = reshaping((context, shape) => {
  const at = (input: number, attribute: string) =>
    intsOf(context.node.attributes, attribute) ?? context.known(input)?.data;
  const [starts, ends] = [at(1, "starts"), at(2, "ends")];
  const count = starts?.length ?? ends?.length ?? lengthOf(context, 1);
  const axes = hasInput(context, 3) || context.node.attributes.axes ? intsAt(context, 3, "axes") : range(count);
  if (axes === undefined) return unknownShape(context, shape.length);
  const steps = hasInput(context, 4) ? context.known(4)?.data : axes.map(() => 1);
  const sizes = [...shape];
  for (const [index, given] of axes.entries()) {
    const axis = frontAxis(given, shape.length);
    if (axis === undefined) return undefined;
    sizes[axis] = sliceSize(shape[axis]!, starts?.[index], ends?.[index], steps?.[index]) ?? unknownDim(context, axis);
  }
  return sizes;
});

function range(length: number | undefined): readonly number[] | undefined {
  return length === undefined ? undefined : Array.from({ length }, (_, index) => index);
}

/** How many elements a slice has; undefined where that depends on more than is known. */
export function sliceSize(
  size: Dim,
  start: Dim | undefined,
  end: Dim | undefined,
  step: Dim | undefined,
): Dim | undefined {
  if (start === undefined || end === undefined || typeof step !== "number" || step === 0) return undefined;
  if (step < 0) return start === -1 && Number(end) < -(2 ** 31) ? steps(size, -step) : undefined;
  const first = place(start, size);
  const last = place(end, size);
  if (first === undefined || last === undefined) return undefined;
  return steps(maxDim(0, subtractDims(last, first)), step);
}

function steps(length: Dim, step: number): Dim | undefined {
  return step === 1 ? length : divideDims(addDims(length, step - 1), step);
}

/** Where a slice starts or ends, between 0 and the size. */
function place(index: Dim, size: Dim): Dim | undefined {
  if (isNonNegative(index)) return minDim(index, size);
  return compareDims(index, 0) === -1 ? maxDim(0, addDims(size, index)) : undefined;
}

export const pad = reshaping((context, shape) => {
  const pads = intsOf(context.node.attributes, "pads") ?? context.known(1)?.data;
  const axes = hasInput(context, 3) ? intsAt(context, 3, "") : range(shape.length);
  if (axes === undefined) return unknownShape(context, shape.length);
  const sizes = [...shape];
  for (const [index, given] of axes.entries()) {
    const axis = frontAxis(given, shape.length);
    if (axis === undefined) return undefined;
    const [before, after] = [pads?.[index], pads?.[index + axes.length]];
    const isKnown = before !== undefined && after !== undefined;
    sizes[axis] = isKnown ? sumDims([shape[axis]!, before, after]) : unknownDim(context, axis);
  }
  return sizes;
});

export const gather: Inference = (context) => {
  const [shape, indices] = [shapeOf(context, 0), shapeOf(context, 1)];
  const axis = shape && frontAxis(intOf(context.node.attributes, "axis", 0), shape.length);
  const isKnown = shape !== undefined && indices !== undefined && axis !== undefined;
  return [typed(dtypeOf(context, 0), isKnown ? shape.toSpliced(axis, 1, ...indices) : undefined)];
};

export const gatherElements: Inference = (context) => [typed(dtypeOf(context, 0), shapeOf(context, 1))];

export const gatherND: Inference = (context) => {
  const [shape, indices] = [shapeOf(context, 0), shapeOf(context, 1)];
  const width = indices?.at(-1);
  const isKnown = shape !== undefined && indices !== undefined && typeof width === "number";
  const batch = intOf(context.node.attributes, "batch_dims", 0);
  return [typed(dtypeOf(context, 0), isKnown ? [...indices.slice(0, -1), ...shape.slice(batch + width)] : undefined)];
};

export const depthToSpace = reshaping(({ node }, shape) => {
  const block = intOf(node.attributes, "blocksize", 1);
  const [batch, channels, height, width] = shape;
  const fewer = channels === undefined ? undefined : divideExactly(channels, block * block);
  if (batch === undefined || fewer === undefined || height === undefined || width === undefined) return undefined;
  return [batch, fewer, multiplyDims(height, block), multiplyDims(width, block)];
});

export const spaceToDepth = reshaping(({ node }, shape) => {
  const block = intOf(node.attributes, "blocksize", 1);
  const [batch, channels, height, width] = shape;
  const [lower, narrower] = [height, width].map((size) => (size === undefined ? size : divideExactly(size, block)));
  if (batch === undefined || channels === undefined || lower === undefined || narrower === undefined) return undefined;
  return [batch, multiplyDims(channels, block * block), lower, narrower];
});
