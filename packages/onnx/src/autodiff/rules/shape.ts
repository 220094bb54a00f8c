import { intOf, intsOf, stringOf } from "../../graph/attributes.js";
import { unsupported } from "../../graph/unsupported.js";
import {
  constantInts,
  dimOf,
  padAll,
  padAxes,
  rangeTo,
  reshape,
  reshapeLike,
  scalarLike,
  shapeOf,
  shapePart,
  shapeVector,
  staticShape,
  toScalar,
  unbroadcast,
  zerosLike,
} from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/** Reshape, Flatten, Squeeze, Unsqueeze: the same elements in the input's shape. */
export const reshaping: Vjp = (context) => [reshapeLike(context, context.gradients[0]!, context.node.inputs[0]!)];

export const transpose: Vjp = ({ node, builder, gradients }) => {
  const perm = intsOf(node.attributes, "perm");
  return [builder.op("Transpose", [gradients[0]!], perm ? { perm: perm.map((_, axis) => perm.indexOf(axis)) } : {})];
};

export const expand: Vjp = (context) => [
  unbroadcast(context, context.gradients[0]!, context.node.inputs[0]!, context.node.outputs[0]!),
];

/** The gradient as [repeats0, dim0, repeats1, dim1, …], summed over the repeats. */
export const tile: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x = "", repeats = ""] = node.inputs;
  const shape = builder.op("Shape", [x]);
  const rows = builder.op("Reshape", [builder.op("Concat", [repeats, shape], { axis: 0 }), builder.ints(2, -1)]);
  const pairs = builder.op("Reshape", [builder.op("Transpose", [rows], { perm: [1, 0] }), builder.ints(-1)]);
  const split = reshape(context, gradients[0]!, pairs);
  const axes = builder.op("Mul", [
    rangeTo(context, toScalar(context, builder.op("Shape", [shape]))),
    builder.constant("int64", [2], []),
  ]);
  return [builder.op("ReduceSum", [split, axes], { keepdims: 0, noop_with_empty_axes: 1 })];
};

/** Each input takes its part; those in between are cut out together. */
export const concat: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const axis = intOf(node.attributes, "axis", 0);
  const sizes = node.inputs.map((input) => dimOf(context, input, axis));
  const parts = builder.ops("Split", [gradients[0]!, builder.op("Concat", sizes, { axis: 0 })], node.inputs.length, {
    axis,
  });
  return parts.map((part, i) => (context.wanted(i) ? part : undefined));
};

export const split: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const parts = gradients.map((gradient, i) => gradient ?? zerosLike(context, context.output(i)));
  return [builder.op("Concat", parts, { axis: intOf(node.attributes, "axis", 0) })];
};

/** Zeros before and after the part that was taken; steps other than 1 go by position. */
export const slice: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x = "", starts = "", , axes, steps] = node.inputs;
  const stepValues = steps ? constantInts(context, steps) : [];
  if (!stepValues?.every((step) => step === 1)) return byPosition(context);
  const fixed = padsOfSlice(context);
  if (fixed?.every((pad) => pad === 0)) return [gradients[0]];
  if (fixed) return [padAll(context, gradients[0]!, builder.ints(...fixed))];
  const at = axes || rangeTo(context, toScalar(context, builder.op("Shape", [starts])));
  const pick = (value: string) => builder.op("Gather", [builder.op("Shape", [value]), at]);
  const zero = builder.constant("int64", [0], []);
  const dims = pick(x);
  const from = builder.cast(starts, "int64");
  const positive = builder.op("Where", [builder.op("Less", [from, zero]), builder.op("Add", [from, dims]), from]);
  const before = builder.op("Max", [builder.op("Min", [positive, dims]), zero]);
  const after = builder.op("Sub", [builder.op("Sub", [dims, pick(gradients[0]!)]), before]);
  return [padAxes(context, gradients[0]!, before, after, at)];
};

/** The padding that undoes a Slice with step 1, if it is the same in every run: before each dimension, and after each. */
function padsOfSlice(context: VjpContext): number[] | undefined {
  const [x = "", starts, ends, axesInput] = context.node.inputs;
  const shape = shapeOf(context, x);
  const from = constantInts(context, starts);
  const to = constantInts(context, ends);
  const axes = axesInput ? constantInts(context, axesInput) : from?.map((_, i) => i);
  if (shape === undefined || from === undefined || to === undefined || axes === undefined) return undefined;
  const pads = Array.from({ length: 2 * shape.length }, () => 0);
  for (const [i, given] of axes.entries()) {
    const axis = given < 0 ? given + shape.length : given;
    const dim = shape[axis];
    if (typeof dim !== "number") return undefined;
    const clamp = (index: number) => Math.min(Math.max(index < 0 ? index + dim : index, 0), dim);
    pads[axis] = clamp(from[i]!);
    pads[axis + shape.length] = dim - Math.max(clamp(to[i]!), clamp(from[i]!));
  }
  return pads;
}

/** The opposite padding, which cuts off what was added; modes that repeat elements go by position. */
export const padVjp: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const mode = node.attributes.mode;
  if (mode?.kind === "string" && mode.value !== "constant") return byPosition(context);
  const pads = builder.op("Neg", [node.inputs[1]!]);
  const axes = node.inputs[3];
  if (!axes) return [padAll(context, gradients[0]!, pads)];
  const halves = builder.ops("Split", [pads], 2, { axis: 0, num_outputs: 2 });
  return [padAxes(context, gradients[0]!, halves[0]!, halves[1]!, axes)];
};

export const trilu: Vjp = ({ node, builder, gradients }) => {
  const { upper } = node.attributes;
  return [builder.op("Trilu", [gradients[0]!, ...node.inputs.slice(1)], upper ? { upper } : {})];
};

/** Its inverse; the other order of channels by exchanging theirs. */
export const depthToSpace: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const blocksize = intOf(node.attributes, "blocksize", 1);
  const blocks = builder.op("SpaceToDepth", [gradients[0]!], { blocksize });
  if (stringOf(node.attributes, "mode", "DCR") === "DCR") return [blocks];
  const shape = [builder.ints(0, blocksize ** 2, -1), shapePart(context, node.inputs[0]!, 2)];
  const apart = builder.op("Reshape", [blocks, builder.op("Concat", shape, { axis: 0 })]);
  return [reshapeLike(context, builder.op("Transpose", [apart], { perm: [0, 2, 1, 3, 4] }), node.inputs[0]!)];
};

export const spaceToDepth: Vjp = ({ node, builder, gradients }) => [
  builder.op("DepthToSpace", [gradients[0]!], { blocksize: intOf(node.attributes, "blocksize", 1) }),
];

/** The elements come from elsewhere in the same order within a sequence. */
export const reverseSequence: Vjp = ({ node, gradients, builder }) => [
  builder.op("ReverseSequence", [gradients[0]!, node.inputs[1]!], node.attributes),
];

/**
 * For any operator that only moves, repeats or drops elements of its first input: it is run a second time on the
 * elements' positions, and the gradient is added up at those.
 */
export const byPosition: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const x = node.inputs[0]!;
  if (node.inputs.slice(1).includes(x)) throw unsupported(node, "its data are also its indices");
  const flat = builder.ints(-1);
  const count = builder.op("Size", [x]);
  const positions = reshape(context, rangeTo(context, count), shapeVector(context, x));
  const taken = builder.fresh(node.op);
  builder.add({ ...node, name: taken, inputs: [positions, ...node.inputs.slice(1)], outputs: [taken] });
  const zeros = builder.op("Expand", [scalarLike(context, 0, x), builder.op("Reshape", [count, flat])]);
  const at = builder.op("Reshape", [taken, flat]);
  const sums = scatterAdd(context, zeros, at, builder.op("Reshape", [gradients[0]!, flat]), 0);
  return [staticShape(context, x)?.length === 1 ? sums : reshape(context, sums, shapeVector(context, x))];
};

/** Elements added to a tensor at indices along an axis; an index may occur several times. */
export function scatterAdd(context: VjpContext, into: string, indices: string, elements: string, axis: number): string {
  return context.builder.op("ScatterElements", [into, indices, elements], {
    axis,
    reduction: { kind: "string", value: "add" },
  });
}
