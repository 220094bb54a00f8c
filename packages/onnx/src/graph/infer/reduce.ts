import { intOf, intsOf } from "../attributes.js";
import { addDims, compareDims, divideDims, maxDim, subtractDims } from "../dim.js";
import type { Dim, DType, Shape } from "../ir.js";
import { dtypeOf as dtypeOfCode } from "../serde/tensor.js";
import {
  dtypeOf,
  frontAxis,
  hasInput,
  type Inference,
  type InferenceContext,
  intsAt,
  shapeOf,
  typed,
  unknownDim,
  unknownShape,
} from "./context.js";

export const reduce: Inference = (context) => {
  const { attributes } = context.node;
  const shape = shapeOf(context, 0);
  const keepDims = intOf(attributes, "keepdims", 1) === 1;
  const isGiven = hasInput(context, 1) || attributes.axes !== undefined;
  const axes = isGiven ? intsAt(context, 1, "axes") : [];
  return [typed(dtypeOf(context, 0), shape && reduceShape(context, shape, axes, keepDims))];
};

function reduceShape(
  context: InferenceContext,
  shape: Shape,
  given: readonly number[] | undefined,
  keepDims: boolean,
): Shape | undefined {
  if (given === undefined) return keepDims ? unknownShape(context, shape.length) : undefined;
  if (given.length === 0 && intOf(context.node.attributes, "noop_with_empty_axes", 0) === 1) return shape;
  const axes = given.length === 0 ? [...shape.keys()] : given.map((axis) => frontAxis(axis, shape.length));
  return shape.flatMap((size, axis) => (axes.includes(axis) ? (keepDims ? [1] : []) : [size]));
}

export const arg: Inference = (context) => {
  const { attributes } = context.node;
  const shape = shapeOf(context, 0);
  const axes = [intOf(attributes, "axis", 0)];
  return [typed("int64", shape && reduceShape(context, shape, axes, intOf(attributes, "keepdims", 1) === 1))];
};

/** The first input; the mean and 1/deviation over the axes from `axis` on beside it. */
export const layerNormalization: Inference = (context) => {
  const shape = shapeOf(context, 0);
  const axis = shape && frontAxis(intOf(context.node.attributes, "axis", -1), shape.length);
  const statistics = shape?.map((size, each) => (each < (axis ?? shape.length) ? size : 1));
  const dtype = dtypeOfCode(intOf(context.node.attributes, "stash_type", 1)) ?? "float32";
  return [context.inputs[0], typed(dtype, statistics), typed(dtype, statistics)];
};

/** The first input, and four vectors over the channels when it is trained. */
export const batchNormalization: Inference = (context) => [
  context.inputs[0],
  ...[1, 2, 3, 4].map((input) => typed(dtypeOf(context, input), shapeOf(context, input))),
];

export const topK: Inference = (context) => {
  const shape = shapeOf(context, 0);
  const axis = shape && frontAxis(intOf(context.node.attributes, "axis", -1), shape.length);
  const k = context.known(1)?.data[0] ?? (context.opset < 10 ? intOf(context.node.attributes, "k", 1) : undefined);
  const result = axis === undefined ? undefined : shape?.with(axis, k ?? unknownDim(context, axis));
  return [typed(dtypeOf(context, 0), result), typed("int64", result)];
};

export const oneHot: Inference = (context) => {
  const shape = shapeOf(context, 0);
  const axis = shape && frontAxis(intOf(context.node.attributes, "axis", -1), shape.length + 1);
  if (axis === undefined) return [typed(dtypeOf(context, 2), undefined)];
  const depth = context.known(1)?.data[0] ?? unknownDim(context, axis);
  return [typed(dtypeOf(context, 2), shape?.toSpliced(axis, 0, depth))];
};

export const nonZero: Inference = (context) => {
  const rank = shapeOf(context, 0)?.length;
  return [typed("int64", [rank ?? unknownDim(context, 0), unknownDim(context, 1)])];
};

export const range: Inference = (context) => {
  const [start, limit, delta] = [0, 1, 2].map((input) => context.known(input)?.data[0]);
  return [typed(dtypeOf(context, 0), [countOf(start, limit, delta) ?? unknownDim(context, 0)])];
};

function countOf(start: Dim | undefined, limit: Dim | undefined, delta: Dim | undefined): Dim | undefined {
  if (start === undefined || limit === undefined || typeof delta !== "number" || delta === 0) return undefined;
  const length = delta > 0 ? subtractDims(limit, start) : subtractDims(start, limit);
  const step = Math.abs(delta);
  const whole = compareDims(length, 0) === -1 ? 0 : maxDim(0, length);
  return step === 1 ? whole : divideDims(addDims(whole, step - 1), step);
}

/** A tensor whose shape is given by the elements of an input. */
export function filled(dtypeFor: (context: InferenceContext) => DType | undefined, input = 0): Inference {
  return (context) => {
    const sizes = context.known(input)?.data;
    const length = shapeOf(context, input)?.[0];
    const shape = sizes
      ? sizes.map((size, axis) => size ?? unknownDim(context, axis))
      : typeof length === "number"
        ? unknownShape(context, length)
        : undefined;
    return [typed(dtypeFor(context), shape)];
  };
}

export const constantOfShape = filled(({ node }) => {
  const { value } = node.attributes;
  return value?.kind === "tensor" ? value.value.dtype : "float32";
});

export const shape: Inference = (context) => {
  const { attributes } = context.node;
  const rank = shapeOf(context, 0)?.length;
  if (rank === undefined) return [typed("int64", [unknownDim(context, 0)])];
  const part = Array.from({ length: rank }).slice(intOf(attributes, "start", 0), intOf(attributes, "end", rank));
  return [typed("int64", [part.length])];
};

export const size: Inference = () => [{ dtype: "int64", shape: [] }];

/** A random tensor: shape and element type are attributes. */
export const random: Inference = ({ node }) => [
  typed(dtypeOfCode(intOf(node.attributes, "dtype", 1)), intsOf(node.attributes, "shape")),
];

/** Vectors of k samples for each row. */
export const multinomial: Inference = (context) => {
  const rows = shapeOf(context, 0)?.[0] ?? unknownDim(context, 0);
  const { attributes } = context.node;
  return [typed(dtypeOfCode(intOf(attributes, "dtype", 6)), [rows, intOf(attributes, "sample_size", 1)])];
};
