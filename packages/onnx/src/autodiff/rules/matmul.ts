import { floatOf, intOf } from "../../graph/attributes.js";
import { isRank } from "../../graph/dim.js";
import { broadcastShapes } from "../../graph/infer/context.js";
import { reshape, reshapeLike, scalarLike, shapeOf, unbroadcast, unbroadcastFrom } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/** dA = g B^T and dB = A^T g, summed over the batch dimensions that were repeated; a vector is a matrix of one row or column. */
export const matMul: Vjp = (context) => {
  const { node, gradients } = context;
  const [a = "", b = ""] = node.inputs;
  const g = gradients[0]!;
  const ranks = [a, b].map((value) => shapeOf(context, value)?.length);
  if (ranks.includes(undefined)) return productsOfUnknownRank(context);
  if (ranks.includes(1)) return vectorProducts(context, ranks[0] === 1, ranks[1] === 1);
  return [
    context.wanted(0) ? leftGradient(context, g, a, b) : undefined,
    context.wanted(1) ? rightGradient(context, g, a, b) : undefined,
  ];
};

function leftGradient(context: VjpContext, g: string, a: string, b: string): string {
  const product = context.builder.op("MatMul", [g, transposed(context, b)]);
  return unbroadcastBatch(context, product, a, b);
}

function rightGradient(context: VjpContext, g: string, a: string, b: string): string {
  const { builder } = context;
  const [left, right] = [shapeOf(context, a), shapeOf(context, b)];
  const [inner, outer] = right ?? [];
  const flat = right?.length === 2 && left && left.length > 2 && isSize(inner) && isSize(outer);
  if (flat) {
    const rows = builder.op("Reshape", [a, builder.ints(-1, inner as number)]);
    const gradientRows = builder.op("Reshape", [g, builder.ints(-1, outer as number)]);
    return builder.op("MatMul", [builder.op("Transpose", [rows], { perm: [1, 0] }), gradientRows]);
  }
  return unbroadcastBatch(context, productOfTransposed(context, a, g), b, a);
}

/**
 * A^T g, or (g^T A)^T where g is narrower than A is: onnxruntime is slow at transposing the left factor, and attention's
 * probabilities [tokens, tokens] are wider than its values.
 */
function productOfTransposed(context: VjpContext, a: string, g: string): string {
  const { node, builder } = context;
  if (!isNarrower(context, node.inputs[1]!, a)) return builder.op("MatMul", [transposed(context, a), g]);
  const rank = Math.max(...node.inputs.map((input) => shapeOf(context, input)!.length));
  return transposed(context, builder.op("MatMul", [transposed(context, g, rank), a]), rank);
}

/** Whether g, as wide as b, has fewer columns than a has. */
function isNarrower(context: VjpContext, b: string, a: string): boolean {
  const [own, other] = [b, a].map((value) => {
    const width = shapeOf(context, value)?.at(-1);
    return width !== undefined && isRank(width) ? 0 : width;
  });
  return typeof own === "number" && (typeof other !== "number" || own < other);
}

function isSize(dim: number | string | undefined): boolean {
  return typeof dim === "number" && dim > 0;
}

/** A value with its last two dimensions exchanged. */
function transposed(context: VjpContext, value: string, rank = shapeOf(context, value)!.length): string {
  const { builder } = context;
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return builder.op("Transpose", [value], { perm: [...axes.slice(0, -2), rank - 1, rank - 2] });
}

/** Sums the batch dimensions of a product to those of one factor; nothing to do where the other has the same or none. */
function unbroadcastBatch(context: VjpContext, product: string, value: string, other: string): string {
  const [own, others] = [shapeOf(context, value), shapeOf(context, other)];
  const batch = broadcastShapes([own?.slice(0, -2), others?.slice(0, -2)]);
  return unbroadcastFrom(context, product, value, own && batch && [...batch, ...own.slice(-2)]);
}

/** MatMul with a vector on either side: the vector as a matrix, and the gradient in the shape that such a product has. */
function vectorProducts(context: VjpContext, leftIsVector: boolean, rightIsVector: boolean): (string | undefined)[] {
  const { node, builder, gradients } = context;
  const [a = "", b = ""] = node.inputs;
  const left = leftIsVector ? builder.op("Unsqueeze", [a, builder.ints(0)]) : a;
  const right = rightIsVector ? builder.op("Unsqueeze", [b, builder.ints(1)]) : b;
  const rightGiven = rightIsVector ? builder.op("Unsqueeze", [gradients[0]!, builder.ints(-1)]) : gradients[0]!;
  const g = leftIsVector ? builder.op("Unsqueeze", [rightGiven, builder.ints(-2)]) : rightGiven;
  const swap = (value: string, isMatrix: boolean, original: string) =>
    isMatrix ? transposed(context, original) : builder.op("Transpose", [value], { perm: [1, 0] });
  const dLeft = () => builder.op("MatMul", [g, swap(right, !rightIsVector, b)]);
  const dRight = () => builder.op("MatMul", [swap(left, !leftIsVector, a), g]);
  const sum = (value: string, isVector: boolean, original: string, axis: number) => {
    if (!isVector) return unbroadcast(context, value, original, value);
    return reshapeLike(context, unbroadcast(context, value, axis === 0 ? left : right, value), original);
  };
  return [
    context.wanted(0) ? sum(dLeft(), leftIsVector, a, 0) : undefined,
    context.wanted(1) ? sum(dRight(), rightIsVector, b, 1) : undefined,
  ];
}

/** MatMul where either rank is unknown: both with at least two dimensions, as they turn out to need when the graph runs. */
function productsOfUnknownRank(context: VjpContext): (string | undefined)[] {
  const { node, builder, gradients } = context;
  const [a = "", b = ""] = node.inputs;
  const zero = builder.ints(0);
  const concat = (...parts: string[]) => builder.op("Concat", parts, { axis: 0 });
  const missing = (value: string) => {
    const rank = builder.op("Shape", [builder.op("Shape", [value])]);
    return builder.op("Max", [builder.op("Sub", [builder.ints(2), rank]), zero]);
  };
  const [rows, columns] = [a, b].map((value) => builder.op("Expand", [builder.ints(1), missing(value)])) as [
    string,
    string,
  ];
  const [left, right] = [
    reshape(context, a, concat(rows, builder.op("Shape", [a]))),
    reshape(context, b, concat(builder.op("Shape", [b]), columns)),
  ];
  const shape = builder.op("Shape", [gradients[0]!]);
  const tail = builder.op("Sub", [builder.ints(1), missing(b)]);
  const head = builder.op("Sub", [builder.op("Shape", [shape]), tail]);
  const cut = (from: string, to: string) => builder.op("Slice", [shape, from, to]);
  const whole = concat(cut(zero, head), rows, cut(head, builder.ints(Number.MAX_SAFE_INTEGER)), columns);
  const g = reshape(context, gradients[0]!, whole);
  const swap = (value: string) => builder.op("Einsum", [value], { equation: "...ij->...ji" });
  const fit = (product: string, value: string, original: string) =>
    reshape(context, unbroadcast(context, product, value, product), builder.op("Shape", [original]));
  return [
    context.wanted(0) ? fit(builder.op("MatMul", [g, swap(right)]), left, a) : undefined,
    context.wanted(1) ? fit(builder.op("MatMul", [swap(left), g]), right, b) : undefined,
  ];
}

/** y = alpha A' B' + beta C, with A' and B' transposed where the node says so. */
export const gemm: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [a = "", b = "", c] = node.inputs;
  const g = gradients[0]!;
  const transA = intOf(node.attributes, "transA", 0);
  const transB = intOf(node.attributes, "transB", 0);
  const alpha = { kind: "float", value: floatOf(node.attributes, "alpha", 1) } as const;
  const beta = floatOf(node.attributes, "beta", 1);
  const product = (left: string, right: string, tLeft: number, tRight: number) =>
    builder.op("Gemm", [left, right], { transA: tLeft, transB: tRight, alpha });
  const dA = () => (transA ? product(b, g, transB, 1) : product(g, b, 0, 1 - transB));
  const dB = () => {
    if (transB) return product(g, a, 1, transA);
    if (transA || alpha.value !== 1 || !isNarrower(context, b, a)) return product(a, g, 1 - transA, 0);
    return transposed(context, builder.op("MatMul", [transposed(context, g, 2), a]), 2);
  };
  const dC = (value: string) => {
    const sum = unbroadcast(context, g, value, node.outputs[0]!);
    return beta === 1 ? sum : builder.op("Mul", [sum, scalarLike(context, beta, value)]);
  };
  return [
    context.wanted(0) ? dA() : undefined,
    context.wanted(1) ? dB() : undefined,
    c && context.wanted(2) ? dC(c) : undefined,
  ];
};
