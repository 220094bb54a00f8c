import { intOf } from "../../graph/attributes.js";
import { elementCount } from "../../graph/dtype.js";
import type { EvaluationContext, Evaluator } from "../../graph/elements/context.js";
import { type Dense, dense } from "../../graph/elements/dense.js";
import { frontIndex } from "../../graph/elements/gather.js";
import { frontAxis, offsets, stridesOf } from "../../graph/elements/indexing.js";
import { lines } from "./reduce.js";

export const gatherElements: Evaluator = (context) => {
  const [x, indices] = [context.input(0), context.input(1)];
  const places = elementPlaces(context, x.dims, indices);
  return [{ dtype: x.dtype, dims: indices.dims, data: Float64Array.from(places, (place) => x.data[place]!) }];
};

/** Where GatherElements reads and ScatterElements writes. */
function elementPlaces(context: EvaluationContext, dims: readonly number[], indices: Dense): Float64Array {
  const axis = frontAxis(intOf(context.node.attributes, "axis", 0), dims.length);
  const strides = stridesOf(dims);
  const bases = offsets(indices.dims, strides.with(axis, 0));
  return Float64Array.from(
    bases,
    (base, index) => base + frontIndex(context, indices.data[index]!, dims[axis]!) * strides[axis]!,
  );
}

type Combine = (old: number, update: number) => number;
const COMBINE: { readonly [reduction: string]: Combine } = {
  none: (_, update) => update,
  add: (old, update) => old + update,
  mul: (old, update) => old * update,
  max: Math.max,
  min: Math.min,
};

function combineOf({ node }: EvaluationContext): Combine {
  const { reduction } = node.attributes;
  return COMBINE[reduction?.kind === "string" ? reduction.value : "none"] ?? COMBINE.none!;
}

export const scatterElements: Evaluator = (context) => {
  const [x, indices, updates] = [context.input(0), context.input(1), context.input(2)];
  const data = x.data.slice();
  const combine = combineOf(context);
  for (const [index, place] of elementPlaces(context, x.dims, indices).entries()) {
    data[place] = combine(data[place]!, updates.data[index]!);
  }
  return [{ ...x, data }];
};

/** Where each index tuple along the last axis points to. */
function tuplePlaces(context: EvaluationContext, dims: readonly number[], indices: Dense): number[] {
  const width = indices.dims.at(-1) ?? 1;
  const strides = stridesOf(dims);
  return Array.from({ length: width === 0 ? 0 : indices.data.length / width }, (_, tuple) =>
    Array.from({ length: width }, (_, axis) => axis).reduce(
      (place, axis) => place + frontIndex(context, indices.data[tuple * width + axis]!, dims[axis]!) * strides[axis]!,
      0,
    ),
  );
}

export const gatherND: Evaluator = (context) => {
  const [x, indices] = [context.input(0), context.input(1)];
  const batchAxes = intOf(context.node.attributes, "batch_dims", 0);
  const width = indices.dims.at(-1)!;
  const batches = elementCount(x.dims.slice(0, batchAxes));
  const inner = x.dims.slice(batchAxes);
  const size = elementCount(inner);
  const slice = elementCount(inner.slice(width));
  const perBatch = indices.data.length / batches;
  const data: number[] = [];
  for (let batch = 0; batch < batches; batch++) {
    const part = dense(
      indices.dtype,
      [perBatch / width, width],
      indices.data.subarray(batch * perBatch, (batch + 1) * perBatch),
    );
    for (const place of tuplePlaces(context, inner, part)) {
      data.push(...x.data.subarray(batch * size + place, batch * size + place + slice));
    }
  }
  return [dense(x.dtype, [...indices.dims.slice(0, -1), ...inner.slice(width)], data)];
};

export const scatterND: Evaluator = (context) => {
  const [x, indices, updates] = [context.input(0), context.input(1), context.input(2)];
  const slice = elementCount(x.dims.slice(indices.dims.at(-1)!));
  const data = x.data.slice();
  const combine = combineOf(context);
  for (const [tuple, place] of tuplePlaces(context, x.dims, indices).entries()) {
    for (let offset = 0; offset < slice; offset++) {
      data[place + offset] = combine(data[place + offset]!, updates.data[tuple * slice + offset]!);
    }
  }
  return [{ ...x, data }];
};

/** The k largest elements along an axis, and where they were; of equal ones the first. */
export const topK: Evaluator = (context) => {
  const x = context.input(0);
  const { attributes } = context.node;
  const k = context.input(1).data[0]!;
  const axis = frontAxis(intOf(attributes, "axis", -1), x.dims.length);
  const direction = intOf(attributes, "largest", 1) === 1 ? -1 : 1;
  const dims = x.dims.with(axis, k);
  const values = new Float64Array(elementCount(dims));
  const indices = new Float64Array(values.length);
  const targets = lines(dims, axis);
  for (const [line, places] of lines(x.dims, axis).entries()) {
    const order = Array.from(places.keys()).sort(
      (a, b) => direction * (x.data[places[a]!]! - x.data[places[b]!]!) || a - b,
    );
    for (const [rank, target] of targets[line]!.entries()) {
      values[target] = x.data[places[order[rank]!]!]!;
      indices[target] = order[rank]!;
    }
  }
  return [
    { dtype: x.dtype, dims, data: values },
    { dtype: "int64", dims, data: indices },
  ];
};

/** The indices of elements that are not zero, one column each. */
export const nonZero: Evaluator = (context) => {
  const x = context.input(0);
  const places = [...x.data.keys()].filter((place) => x.data[place] !== 0);
  const rank = x.dims.length;
  const data = stridesOf(x.dims).flatMap((stride, axis) =>
    places.map((place) => Math.floor(place / stride) % x.dims[axis]!),
  );
  return [dense("int64", [rank, places.length], data)];
};

export const oneHot: Evaluator = (context) => {
  const [indices, depth, values] = [context.input(0), context.input(1).data[0]!, context.input(2)];
  const rank = indices.dims.length + 1;
  const axis = frontAxis(intOf(context.node.attributes, "axis", -1), rank);
  const dims = indices.dims.toSpliced(axis, 0, depth);
  const data = new Float64Array(elementCount(dims)).fill(values.data[0]!);
  for (const [line, places] of lines(dims, axis).entries()) {
    const index = indices.data[line]! < 0 ? indices.data[line]! + depth : indices.data[line]!;
    if (index >= 0 && index < depth) data[places[index]!] = values.data[1]!;
  }
  return [dense(values.dtype, dims, data)];
};
