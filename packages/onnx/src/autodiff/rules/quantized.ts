import { intOf } from "../../graph/attributes.js";
import { unsupported } from "../../graph/unsupported.js";
import { shapeOf, unbroadcast } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/*
 * Straight-through: rounding counts as the identity, so a code q = x/s + z has the gradient dLoss/dq = s dLoss/dx, in
 * floats. Where a code is at the end of its range the gradient passes as well: scales are made so that nothing is cut off.
 * Source: Bengio et al. 2013, "Estimating or propagating gradients through stochastic neurons", section 4.
 */

/** A scale of one number, one for each index of `axis`, or one a block, so that it broadcasts to x. */
function scaleFor(context: VjpContext, x: string, scale: string): string {
  const { node, builder } = context;
  const shape = shapeOf(context, scale);
  if (shape?.length === 0 || (shape?.length === 1 && shape[0] === 1)) return scale;
  if (shape === undefined) throw unsupported(node, "whether its scale is one a tensor or one an index is unknown");
  if (intOf(node.attributes, "block_size", 0) > 0) throw unsupported(node, "no rule for a scale a block");
  const rank = shapeOf(context, x)?.length;
  const axis = intOf(node.attributes, "axis", 1);
  const after = axis < 0 ? -axis - 1 : rank === undefined ? undefined : rank - axis - 1;
  if (after === undefined) throw unsupported(node, "the rank of its input is unknown");
  if (after === 0) return scale;
  return builder.op("Unsqueeze", [scale, builder.ints(...Array.from({ length: after }, (_, i) => i + 1))]);
}

/** dq/dx = 1/s */
export const quantizeLinear: Vjp = (context) => {
  const [x = "", scale = ""] = context.node.inputs;
  return [context.builder.op("Div", [context.gradients[0]!, scaleFor(context, x, scale)])];
};

/** dx/dq = s */
export const dequantizeLinear: Vjp = (context) => {
  const [q = "", scale = ""] = context.node.inputs;
  return [
    context.wanted(0) ? context.builder.op("Mul", [context.gradients[0]!, scaleFor(context, q, scale)]) : undefined,
  ];
};

/** q = x/s + z with s and z of the tensor's own range, which count as constants. */
export const dynamicQuantizeLinear: Vjp = (context) => [
  context.builder.op("Div", [context.gradients[0]!, context.output(1)]),
];

/** Codes minus their zero point, in floats; a vector of zero points belongs to the columns of a right factor. */
function centredCodes(context: VjpContext, codes: string, zeroPoint: string | undefined, axis: number): string {
  const { builder } = context;
  const one = builder.scalar(1);
  if (!zeroPoint) return builder.op("DequantizeLinear", [codes, one]);
  const shape = shapeOf(context, zeroPoint);
  const perColumn = shape?.length === 1 && shape[0] !== 1;
  if (!perColumn) {
    const scalar = builder.op("Reshape", [zeroPoint, builder.constant("int64", [], [0])]);
    return builder.op("DequantizeLinear", [codes, one, scalar]);
  }
  const ones = builder.op("Expand", [one, builder.op("Shape", [zeroPoint])]);
  return builder.op("DequantizeLinear", [codes, ones, zeroPoint], { axis });
}

/** y = (A - a0)(B - b0), in int32: the gradient with respect to the codes of A, B being the weight. */
export const matMulInteger: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [a = "", b = "", , bZero] = node.inputs;
  const weight = weightTransposed(context, b, centredCodes(context, b, bZero, 1));
  if (context.wanted(1)) throw unsupported(node, "no rule for a right factor that depends on an adapter");
  const product = builder.op("MatMul", [gradients[0]!, weight]);
  return [shapeOf(context, b)?.length === 2 ? product : unbroadcast(context, product, a, product)];
};

function weightTransposed(context: VjpContext, b: string, values: string): string {
  const rank = shapeOf(context, b)?.length;
  if (rank === undefined || rank < 2) throw unsupported(context.node, "its right factor is not known to be a matrix");
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return context.builder.op("Transpose", [values], { perm: [...axes.slice(0, -2), rank - 1, rank - 2] });
}

/** y = A B with all three in codes: dqA = sA (dqY / sY) B^T */
export const qLinearMatMul: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [, aScale = "", , b = "", bScale = "", bZero, yScale = ""] = node.inputs;
  if (context.wanted(3)) throw unsupported(node, "no rule for a right factor that depends on an adapter");
  const real = builder.op("Mul", [builder.op("Div", [gradients[0]!, yScale]), bScale]);
  const weight = weightTransposed(context, b, centredCodes(context, b, bZero, 1));
  return [builder.op("Mul", [builder.op("MatMul", [real, weight]), aScale])];
};
