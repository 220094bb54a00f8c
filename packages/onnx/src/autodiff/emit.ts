import { numbersOf } from "../graph/constants.js";
import type { DType, Shape } from "../graph/ir.js";
import type { VjpContext } from "./vjp.js";

/** The shape of a value as far as it is known, undefined if not even the rank is. */
export function shapeOf(context: VjpContext, value: string): Shape | undefined {
  return context.typeOf(value)?.shape ?? context.constantOf(value)?.dims;
}

/** The element type of a value: float32 if nothing is known, as 16-bit values have been widened before. */
export function dtypeOf(context: VjpContext, value: string): DType {
  return context.typeOf(value)?.dtype ?? context.constantOf(value)?.dtype ?? "float32";
}

/** The shape of a value if every dimension is known. */
export function staticShape(context: VjpContext, value: string): readonly number[] | undefined {
  const shape = shapeOf(context, value);
  return shape?.every((dim) => typeof dim === "number") ? (shape as readonly number[]) : undefined;
}

/** Integers that an input holds in every run. */
export function constantInts(context: VjpContext, value: string | undefined): readonly number[] | undefined {
  return value ? numbersOf(context.constantOf(value)) : undefined;
}

/** A scalar of the element type of the value that it meets. */
export function scalarLike(context: VjpContext, number: number, value: string): string {
  const dtype = dtypeOf(context, value);
  return context.builder.constant(dtype === "float64" ? "float64" : "float32", [number], []);
}

/** A number that was counted, in the element type of the value that it meets. */
export function castLike(context: VjpContext, count: string, value: string): string {
  return context.builder.cast(count, dtypeOf(context, value) === "float64" ? "float64" : "float32");
}

/** The shape of a value as an int64 vector. */
export function shapeVector(context: VjpContext, value: string): string {
  const shape = staticShape(context, value);
  return shape ? context.builder.ints(...shape) : context.builder.op("Shape", [value]);
}

/** Some dimensions of a value, from `start` up to `end`, as an int64 vector; negative ones count from the end. */
export function shapePart(context: VjpContext, value: string, start: number, end?: number): string {
  const part = shapeOf(context, value)?.slice(start, end);
  if (part?.every((dim) => typeof dim === "number")) return context.builder.ints(...(part as number[]));
  return context.builder.op("Shape", [value], end === undefined ? { start } : { start, end });
}

/** The size of one dimension as an int64 vector of length 1. */
export function dimOf(context: VjpContext, value: string, axis: number): string {
  return shapePart(context, value, axis, axis === -1 ? undefined : axis + 1);
}

/** The elements of a gradient in the shape of a value. */
export function reshapeLike(context: VjpContext, gradient: string, value: string): string {
  const shape = shapeOf(context, value);
  const known = shape?.map((dim) => (typeof dim === "number" ? dim : -1));
  const unknown = known?.filter((dim) => dim === -1).length ?? 2;
  const dims =
    known && unknown === 1 && !known.includes(0) ? context.builder.ints(...known) : shapeVector(context, value);
  return reshape(context, gradient, dims);
}

/** A tensor in another shape, in which a zero is a size. */
export function reshape(context: VjpContext, value: string, shape: string): string {
  return context.builder.op("Reshape", [value, shape], { allowzero: 1 });
}

/** A tensor repeated to the shape of a value. */
export function expandLike(context: VjpContext, gradient: string, value: string): string {
  return context.builder.op("Expand", [gradient, shapeVector(context, value)]);
}

/** Zeros in the shape and type of a value. */
export function zerosLike(context: VjpContext, value: string): string {
  return expandLike(context, scalarLike(context, 0, value), value);
}

/** A gradient where a condition holds, and zero elsewhere. */
export function where(context: VjpContext, condition: string, gradient: string): string {
  return context.builder.op("Where", [condition, gradient, scalarLike(context, 0, context.node.inputs[0]!)]);
}

/** How many dimensions a value has, as an int64 vector of length 1. Size of Shape will not do: onnxruntime infers it wrongly. */
export function rankOf(context: VjpContext, value: string): string {
  return context.builder.op("Shape", [context.builder.op("Shape", [value])]);
}

/** An int64 vector of length 1 as a scalar. */
export function toScalar({ builder }: VjpContext, vector: string): string {
  return builder.op("Squeeze", [vector, builder.ints(0)]);
}

/** 0, 1, … up to a count, which is an int64 scalar. */
export function rangeTo(context: VjpContext, count: string): string {
  const { builder } = context;
  return builder.op("Range", [builder.constant("int64", [0], []), count, builder.constant("int64", [1], [])]);
}

/**
 * The gradient of a value that was broadcast to the gradient's shape: summed over the axes along which it was repeated.
 * Where both shapes are known the axes are constants, elsewhere they are found when the graph runs.
 *
 * @param full a value of the gradient's shape
 */
export function unbroadcast(context: VjpContext, gradient: string, value: string, full: string): string {
  return unbroadcastFrom(context, gradient, value, shapeOf(context, full));
}

/** The same for a gradient of a shape that is known as far as `from` says. */
export function unbroadcastFrom(context: VjpContext, gradient: string, value: string, from: Shape | undefined): string {
  const to = shapeOf(context, value);
  if (to === undefined || from === undefined) return unbroadcastAtRunTime(context, gradient, value);
  const lead = from.length - to.length;
  if (lead < 0) return unbroadcastAtRunTime(context, gradient, value);
  const axes: number[] = [];
  for (const [axis, dim] of from.entries()) {
    const own = axis < lead ? 1 : to[axis - lead]!;
    if (own === dim) {
      if (axis < lead) axes.push(axis);
    } else if (own === 1) axes.push(axis);
    else if (typeof own === "string") return unbroadcastAtRunTime(context, gradient, value);
  }
  if (axes.length === 0) return gradient;
  const { builder } = context;
  const onlyLeading = axes.every((axis) => axis < lead);
  const summed = builder.op("ReduceSum", [gradient, builder.ints(...axes)], { keepdims: onlyLeading ? 0 : 1 });
  return lead > 0 && !onlyLeading ? reshapeLike(context, summed, value) : summed;
}

function unbroadcastAtRunTime(context: VjpContext, gradient: string, value: string): string {
  const { builder } = context;
  const shape = shapeVector(context, value);
  const missing = builder.op("Sub", [rankOf(context, gradient), builder.op("Shape", [shape])]);
  const one = builder.ints(1);
  const ones = builder.op("Expand", [one, missing]);
  const padded = builder.op("Concat", [ones, shape], { axis: 0 });
  const axes = builder.op("Reshape", [builder.op("NonZero", [builder.op("Equal", [padded, one])]), builder.ints(-1)]);
  const summed = builder.op("ReduceSum", [gradient, axes], { keepdims: 1, noop_with_empty_axes: 1 });
  return reshape(context, summed, shape);
}

/**
 * Zeros before and after some dimensions; negative numbers cut off. All dimensions are told, and not those alone that
 * change: onnxruntime's transpose optimizer misreads Pad's `axes`.
 *
 * @param before int64 vector, one for each of `axes`
 * @param axes int64 vector
 */
export function padAxes(context: VjpContext, value: string, before: string, after: string, axes: string): string {
  const { builder } = context;
  const none = builder.op("Expand", [builder.ints(0), rankOf(context, value)]);
  const spread = (sizes: string) => builder.op("ScatterElements", [none, axes, sizes], { axis: 0 });
  return padAll(context, value, builder.op("Concat", [spread(before), spread(after)], { axis: 0 }));
}

/** The same by what comes before each dimension, and then what comes after. */
export function padAll(context: VjpContext, value: string, pads: string): string {
  return context.builder.op("Pad", [value, pads, scalarLike(context, 0, context.node.inputs[0]!)]);
}
