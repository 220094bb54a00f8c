import { floatOf, intOf } from "../../graph/attributes.js";
import type { Evaluator } from "../../graph/elements/context.js";
import type { Dense } from "../../graph/elements/dense.js";
import { frontAxis, offsets, stridesOf } from "../../graph/elements/indexing.js";

/** One number from the elements that a reduction takes together. */
type Fold = (values: Float64Array) => number;

/** A reduction over axes, given as an attribute or an input; over all of them if none are given. */
export function reduce(fold: Fold): Evaluator {
  return (context) => {
    const x = context.input(0);
    const { attributes } = context.node;
    const given = context.ints(1, "axes");
    const hasAxes = given !== undefined && given.length > 0;
    if (!hasAxes && intOf(attributes, "noop_with_empty_axes", 0) === 1) return [x];
    const axes = new Set(
      (hasAxes ? given : x.dims.map((_, axis) => axis)).map((axis) => frontAxis(axis, x.dims.length)),
    );
    return [reduceAxes(x, axes, intOf(attributes, "keepdims", 1) === 1, fold)];
  };
}

function reduceAxes(x: Dense, axes: ReadonlySet<number>, keepDims: boolean, fold: Fold): Dense {
  const strides = stridesOf(x.dims);
  const pick = (isReduced: boolean) => x.dims.flatMap((_, axis) => (axes.has(axis) === isReduced ? [axis] : []));
  const [kept, gone] = [pick(false), pick(true)];
  const at = (list: readonly number[], of: readonly number[]) => list.map((axis) => of[axis]!);
  const inner = offsets(at(gone, x.dims), at(gone, strides));
  const outer = offsets(at(kept, x.dims), at(kept, strides));
  const dims = x.dims.flatMap((size, axis) => (axes.has(axis) ? (keepDims ? [1] : []) : [size]));
  const data = Float64Array.from(outer, (base) => fold(Float64Array.from(inner, (offset) => x.data[base + offset]!)));
  return { dtype: x.dtype, dims, data };
}

export const sum: Fold = (values) => values.reduce((total, value) => total + value, 0);
export const mean: Fold = (values) => sum(values) / values.length;
export const product: Fold = (values) => values.reduce((total, value) => total * value, 1);
export const max: Fold = (values) => values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
export const min: Fold = (values) => values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
export const l1: Fold = (values) => sum(values.map(Math.abs));
export const sumSquare: Fold = (values) => sum(values.map((value) => value * value));
export const l2: Fold = (values) => Math.sqrt(sumSquare(values));
export const logSum: Fold = (values) => Math.log(sum(values));
export const logSumExp: Fold = (values) => {
  const most = max(values);
  return Number.isFinite(most) ? most + Math.log(sum(values.map((value) => Math.exp(value - most)))) : most;
};

/** The index of the largest element, or of the smallest; the first or the last of several. */
export function arg(isBetter: (value: number, best: number) => boolean): Evaluator {
  return (context) => {
    const x = context.input(0);
    const { attributes } = context.node;
    const isLast = intOf(attributes, "select_last_index", 0) === 1;
    const fold: Fold = (values) =>
      values.reduce((best, value, index) => {
        const isTaken = isBetter(value, values[best]!) || (isLast && value === values[best]!);
        return isTaken ? index : best;
      }, 0);
    const axes = new Set([frontAxis(intOf(attributes, "axis", 0), x.dims.length)]);
    return [{ ...reduceAxes(x, axes, intOf(attributes, "keepdims", 1) === 1, fold), dtype: "int64" }];
  };
}

/** A function of the elements along one axis that gives as many. @param compute in place */
export function alongAxis(axisByDefault: number, compute: (values: Float64Array) => void): Evaluator {
  return (context) => {
    const x = context.input(0);
    const rank = x.dims.length;
    const { opset, node } = context;
    const axis = frontAxis(intOf(node.attributes, "axis", opset < 13 ? 1 : axisByDefault), rank);
    const data = x.data.slice();
    for (const group of opset < 13 ? rows(x.dims, axis) : lines(x.dims, axis)) {
      const values = Float64Array.from(group, (place) => data[place]!);
      compute(values);
      for (const [index, place] of group.entries()) data[place] = values[index]!;
    }
    return [{ ...x, data }];
  };
}

/** The places of the elements of each line along an axis. */
export function lines(dims: readonly number[], axis: number): Int32Array[] {
  const strides = stridesOf(dims);
  const others = dims.map((size, each) => (each === axis ? 1 : size));
  return Array.from(offsets(others, strides), (base) => offsets([dims[axis] ?? 1], [strides[axis] ?? 1], base));
}

/** Before opset 13, Softmax took all axes from the given one on together. */
function rows(dims: readonly number[], axis: number): Int32Array[] {
  const strides = stridesOf(dims);
  const outer = offsets(dims.slice(0, axis), strides);
  return Array.from(outer, (base) => offsets(dims.slice(axis), strides.slice(axis), base));
}

export const softmax = alongAxis(-1, (values) => {
  const total = logSumExp(values);
  for (const [index, value] of values.entries()) values[index] = Math.exp(value - total);
});

export const logSoftmax = alongAxis(-1, (values) => {
  const total = logSumExp(values);
  for (const [index, value] of values.entries()) values[index] = value - total;
});

/** Running sums along an axis. */
export const cumSum: Evaluator = (context) => {
  const x = context.input(0);
  const { attributes } = context.node;
  const isExclusive = intOf(attributes, "exclusive", 0) === 1;
  const isReversed = intOf(attributes, "reverse", 0) === 1;
  const data = x.data.slice();
  for (const line of lines(x.dims, frontAxis(context.input(1).data[0]!, x.dims.length))) {
    let total = 0;
    for (const place of isReversed ? line.toReversed() : line) {
      const before = total;
      total += x.data[place]!;
      data[place] = isExclusive ? before : total;
    }
  }
  return [{ ...x, data }];
};

/** Mean zero and variance one over the last axes, then scale and bias; the mean and 1/deviation beside it. */
export const layerNormalization: Evaluator = (context) => {
  const [x, scale, bias] = [context.input(0), context.input(1), context.inputs[2]];
  return normalize(x, scale, bias, intOf(context.node.attributes, "axis", -1), epsilonOf(context), true);
};

/** The same without taking the mean off. */
export const rmsNormalization: Evaluator = (context) => {
  const [x, scale] = [context.input(0), context.input(1)];
  return normalize(x, scale, undefined, intOf(context.node.attributes, "axis", -1), epsilonOf(context), false).slice(
    0,
    1,
  );
};

function epsilonOf({ node }: Parameters<Evaluator>[0]): number {
  return floatOf(node.attributes, "epsilon", 1e-5);
}

function normalize(
  x: Dense,
  scale: Dense,
  bias: Dense | undefined,
  axis: number,
  epsilon: number,
  isCentred: boolean,
): Dense[] {
  const front = frontAxis(axis, x.dims.length);
  const groups = rows(x.dims, front);
  const data = new Float64Array(x.data.length);
  const means = new Float64Array(groups.length);
  const inverses = new Float64Array(groups.length);
  for (const [group, places] of groups.entries()) {
    const values = Float64Array.from(places, (place) => x.data[place]!);
    const centre = isCentred ? mean(values) : 0;
    const inverse = 1 / Math.sqrt(mean(values.map((value) => (value - centre) ** 2)) + epsilon);
    means[group] = centre;
    inverses[group] = inverse;
    for (const [index, place] of places.entries()) {
      const normal = (values[index]! - centre) * inverse;
      data[place] = normal * scale.data[index % scale.data.length]! + (bias?.data[index % bias.data.length] ?? 0);
    }
  }
  const dims = x.dims.map((size, each) => (each < front ? size : 1));
  return [
    { ...x, data },
    { ...x, dims, data: means },
    { ...x, dims, data: inverses },
  ];
}
