import { addDims, broadcastDim, symbol } from "../dim.js";
import type { Dim, DType, Node, Shape, TensorType } from "../ir.js";

/** Integers or booleans that a value holds in every run, as far as they are known: shapes, axes, sizes, conditions. */
export interface KnownInts {
  readonly dims: readonly number[];
  readonly data: readonly (Dim | undefined)[];
}

/** A node as a rule sees it. */
export interface InferenceContext {
  readonly node: Node;
  /** Version of the node's operator set. */
  readonly opset: number;
  readonly inputs: readonly (TensorType | undefined)[];
  /** The elements of an input, as far as they are known. */
  known(input: number): KnownInts | undefined;
  /** The numbers of a small constant input, floats too. */
  numbers(input: number): readonly number[] | undefined;
  /** Infers the graphs within the node; their outputs' types. */
  inner(
    attribute: string,
    inputs: readonly (TensorType | undefined)[],
  ): readonly (TensorType | undefined)[] | undefined;
}

/** The types of a node's outputs, undefined where nothing is known. */
export type Inference = (context: InferenceContext) => readonly (TensorType | undefined)[];

export function shapeOf(context: InferenceContext, input: number): Shape | undefined {
  return context.inputs[input]?.shape;
}

export function dtypeOf(context: InferenceContext, input: number): DType | undefined {
  return context.inputs[input]?.dtype;
}

/** A type, if the element type is known. */
export function typed(dtype: DType | undefined, shape: Shape | undefined): TensorType | undefined {
  return dtype === undefined ? undefined : { dtype, shape };
}

/** A size that depends on more than sizes: a symbol of its own. */
export function unknownDim({ node }: InferenceContext, axis: number, output = 0): Dim {
  return symbol(`${node.outputs[output] || node.name}:${axis}`);
}

/** A shape of which only the rank is known. */
export function unknownShape(context: InferenceContext, rank: number, output = 0): Dim[] {
  return Array.from({ length: rank }, (_, axis) => unknownDim(context, axis, output));
}

/** The integers that older versions of an operator have as an attribute, newer ones as an input, all of them numbers. */
export function intsAt(context: InferenceContext, input: number, attribute: string): readonly number[] | undefined {
  const given = context.node.attributes[attribute];
  if (given?.kind === "ints") return given.value;
  const data = context.known(input)?.data;
  return data?.every((each) => typeof each === "number") ? (data as readonly number[]) : undefined;
}

/** Whether an optional input is there. */
export function hasInput({ node }: InferenceContext, input: number): boolean {
  return Boolean(node.inputs[input]);
}

/** An axis counted from the front; undefined for one that the tensor does not have. */
export function frontAxis(axis: number, rank: number): number | undefined {
  const front = axis < 0 ? axis + rank : axis;
  return front >= 0 && front < rank ? front : undefined;
}

/** The shape of tensors that are broadcast together. */
export function broadcastShapes(shapes: readonly (Shape | undefined)[]): Shape | undefined {
  const known = shapes.filter((shape) => shape !== undefined);
  if (known.length < shapes.length) return undefined;
  const rank = Math.max(0, ...known.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    known.map((shape) => shape[axis - rank + shape.length] ?? 1).reduce(broadcastDim),
  );
}

/** The more telling of two sizes that must be the same. */
export function sameDim(a: Dim, b: Dim): Dim {
  return typeof a === "string" && (typeof b === "number" || b.length < a.length) ? b : a;
}

export function sumDims(dims: readonly Dim[]): Dim {
  return dims.reduce(addDims, 0);
}
