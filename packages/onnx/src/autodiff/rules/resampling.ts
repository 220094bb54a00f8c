import { intOf, intsOf, stringOf } from "../../graph/attributes.js";
import { unsupported } from "../../graph/unsupported.js";
import { castLike, constantInts, dimOf, rangeTo, shapeOf, toScalar } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/*
 * Linear maps along an axis, y = M x, whose gradient is the transposed map, dx = M^T g.
 */

/** The matrix of a discrete Fourier transform is symmetric, so that its transpose is the conjugate: the inverse, times the length. */
export const dft: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x = "", length, axisInput] = node.inputs;
  const axis = axisInput ? constantInts(context, axisInput)?.[0] : -2;
  if (intOf(node.attributes, "onesided", 0) === 1) throw unsupported(node, "no rule for one side of a spectrum");
  if (length) throw unsupported(node, "no rule for dft_length");
  if (axis === undefined) throw unsupported(node, "its axis is not the same in every run");
  const inverse = intOf(node.attributes, "inverse", 0);
  const conjugate = builder.op("DFT", axisInput ? [gradients[0]!, "", axisInput] : [gradients[0]!], {
    inverse: 1 - inverse,
  });
  const count = castLike(context, dimOf(context, x, axis), x);
  const whole = builder.op(inverse ? "Div" : "Mul", [conjugate, count]);
  const isComplex = shapeOf(context, x)?.at(-1) === 2;
  const parts = dimOf(context, x, -1);
  return [isComplex ? whole : builder.op("Slice", [whole, builder.ints(0), parts, builder.ints(-1)])];
};

/** Axis by axis, by the matrix that Resize makes of the identity. */
export const resize: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x = ""] = node.inputs;
  const [from, to] = [x, node.outputs[0]!].map((value) => shapeOf(context, value));
  if (from === undefined) throw unsupported(node, "the rank of its input is unknown");
  if (stringOf(node.attributes, "coordinate_transformation_mode", "") === "tf_crop_and_resize")
    throw unsupported(node, "no rule for crops");
  if (stringOf(node.attributes, "keep_aspect_ratio_policy", "stretch") !== "stretch")
    throw unsupported(node, "no rule for its policy of aspect ratios");
  const last = from.length - 1;
  const axes = intsOf(node.attributes, "axes")?.map((axis) => (axis < 0 ? axis + from.length : axis));
  const given = axes ?? from.map((_, axis) => axis);
  let gradient = gradients[0]!;
  for (const [i, axis] of given.entries()) {
    if (from[axis] === to?.[axis] || scalesOf(context)?.[i] === 1) continue;
    const swap = from.map((_, each) => (each === axis ? last : each === last ? axis : each));
    const turn = (value: string) => (axis === last ? value : builder.op("Transpose", [value], { perm: swap }));
    const matrix = builder.op("Transpose", [resizedIdentity(context, axis, i)], { perm: [1, 0] });
    gradient = turn(builder.op("MatMul", [turn(gradient), matrix]));
  }
  return [gradient];
};

function scalesOf(context: VjpContext): readonly number[] | undefined {
  const scales = context.node.inputs[2];
  return scales ? constantInts(context, scales) : undefined;
}

/** [size, new size]: row i holds how much of element i each new one takes. @param place of the axis among scales or sizes */
function resizedIdentity(context: VjpContext, axis: number, place: number): string {
  const { node, builder } = context;
  const [x = "", , scales, sizes] = node.inputs;
  const size = dimOf(context, x, axis);
  const range = rangeTo(context, toScalar(context, size));
  const [row, column] = [0, 1].map((at) => builder.op("Unsqueeze", [range, builder.ints(at)]));
  const identity = castLike(context, builder.op("Equal", [row!, column!]), x);
  const own = (values: string) => builder.op("Gather", [values, builder.ints(place)], { axis: 0 });
  const { axes, ...attributes } = node.attributes;
  const shape = sizes
    ? ["", "", builder.op("Concat", [size, own(sizes)], { axis: 0 })]
    : ["", builder.op("Concat", [builder.constant("float32", [1]), own(scales!)], { axis: 0 })];
  return builder.op("Resize", [identity, ...shape], attributes);
}
