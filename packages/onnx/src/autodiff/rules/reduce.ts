import { intOf, intsOf } from "../../graph/attributes.js";
import { unsupported } from "../../graph/unsupported.js";
import { castLike, constantInts, expandLike, scalarLike, shapeOf, staticShape, where } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/** What a row for a reduction sees: g and y with the reduced dimensions kept as ones, so that they broadcast to x. */
interface Reduction {
  readonly g: string;
  readonly y: string;
  readonly x: string;
  readonly context: VjpContext;
  op(name: string, ...inputs: string[]): string;
  c(value: number): string;
  /** The sum over the axes that were reduced, kept as ones. */
  sum(value: string, op?: "ReduceSum" | "ReduceProd"): string;
}

/** dLoss/dx of a reduction of the first input; what has not x's shape is repeated to it. */
function reduction(derive: (row: Reduction) => string, broadcasts = false): Vjp {
  return (context) => {
    const { node, builder, gradients } = context;
    const [x = "", axes] = node.inputs;
    const known = axes ? constantInts(context, axes) : intsOf(node.attributes, "axes");
    const noop = intOf(node.attributes, "noop_with_empty_axes", 0);
    const all = axes ? known?.length === 0 : known === undefined || known.length === 0;
    if (all && noop === 1) return [elementwise(context)];
    const restore = (value: string) => {
      const keeps = intOf(node.attributes, "keepdims", 1) === 1;
      if (keeps || all) return value;
      return builder.op("Unsqueeze", [value, axes || builder.ints(...known!)]);
    };
    const axesInput = axes ? [axes] : all ? [] : [builder.ints(...known!)];
    const dx = derive({
      g: restore(gradients[0]!),
      y: restore(node.outputs[0]!),
      x,
      context,
      op: (name, ...inputs) => builder.op(name, inputs),
      c: (value) => scalarLike(context, value, x),
      sum: (value, op = "ReduceSum") => builder.op(op, [value, ...axesInput], { keepdims: 1 }),
    });
    return [broadcasts ? dx : expandLike(context, dx, x)];
  };
}

/** A reduction over no axes is a function of each element; models have only those that change nothing. */
function elementwise({ node, gradients }: VjpContext): string {
  const same = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"].includes(node.op);
  if (!same) throw unsupported(node, "no rule for a reduction over no axes");
  return gradients[0]!;
}

export const reduceSum = reduction(({ g }) => g);

export const reduceMean = reduction(({ g, x, op, c, context }) => {
  const { node, builder } = context;
  const [whole, rest] = [staticShape(context, x), staticShape(context, node.outputs[0]!)];
  const size = (dims: readonly number[]) => dims.reduce((product, dim) => product * dim, 1);
  if (whole && rest && size(rest) > 0) return op("Div", g, c(size(whole) / size(rest)));
  const known = countOfKnownAxes(context);
  if (known !== undefined) return op("Div", g, c(known));
  const count = op("Div", op("Size", x), op("Max", op("Size", node.outputs[0]!), builder.constant("int64", [1], [])));
  return op("Div", g, castLike(context, count, x));
});

/** How many elements a mean was taken over, if the reduced dimensions are known and the others are not. */
function countOfKnownAxes(context: VjpContext): number | undefined {
  const [x = "", axesInput] = context.node.inputs;
  const shape = shapeOf(context, x);
  const axes = axesInput ? constantInts(context, axesInput) : intsOf(context.node.attributes, "axes");
  const dims = axes?.map((axis) => shape?.at(axis));
  if (dims === undefined || dims.length === 0 || !dims.every((dim) => typeof dim === "number")) return undefined;
  return (dims as number[]).reduce((product, dim) => product * dim, 1);
}

/** Of several equal extremes each has an equal share, as PyTorch's amax gives it. */
export const reduceExtremum = reduction(({ g, x, y, op, c, sum }) => {
  const isIt = op("Equal", x, y);
  return op("Where", isIt, op("Div", g, sum(op("Where", isIt, c(1), c(0)))), c(0));
}, true);

export const reduceL1 = reduction(({ g, x, op }) => op("Mul", op("Sign", x), g), true);

/** x / |x|, and zero at zero as in PyTorch */
export const reduceL2 = reduction(({ g, x, y, op, c }) => {
  const isZero = op("Equal", y, c(0));
  return op("Mul", x, op("Where", isZero, c(0), op("Div", g, op("Where", isZero, c(1), y))));
}, true);

export const reduceLogSum = reduction(({ g, y, op }) => op("Mul", g, op("Exp", op("Neg", y))));

export const reduceLogSumExp = reduction(({ g, x, y, op }) => op("Mul", g, op("Exp", op("Sub", x, y))), true);

export const reduceSumSquare = reduction(({ g, x, op, c }) => op("Mul", x, op("Mul", g, c(2))), true);

/** The product of the others: y/x without a zero, elsewhere that of all but one zero. */
export const reduceProd = reduction(({ g, x, op, c, sum }) => {
  const isZero = op("Equal", x, c(0));
  const ones = op("Where", isZero, c(1), c(0));
  const safe = op("Where", isZero, c(1), x);
  const others = op("Div", sum(safe, "ReduceProd"), safe);
  const zerosElsewhere = op("Sub", sum(ones), ones);
  return op("Mul", g, op("Where", op("Equal", zerosElsewhere, c(0)), others, c(0)));
}, true);

/** y (g - sum(g y)) along the axis; g and the sum are close where attention is even, so they are subtracted first. */
export const softmax: Vjp = ({ node, builder, gradients }) => {
  const y = node.outputs[0]!;
  const axes = builder.ints(intOf(node.attributes, "axis", -1));
  const sum = builder.op("ReduceSum", [builder.op("Mul", [gradients[0]!, y]), axes], { keepdims: 1 });
  return [builder.op("Mul", [y, builder.op("Sub", [gradients[0]!, sum])])];
};

/** g - e^y sum(g) along the axis */
export const logSoftmax: Vjp = ({ node, builder, gradients }) => {
  const axes = builder.ints(intOf(node.attributes, "axis", -1));
  const sum = builder.op("ReduceSum", [gradients[0]!, axes], { keepdims: 1 });
  const share = builder.op("Mul", [builder.op("Exp", [node.outputs[0]!]), sum]);
  return [builder.op("Sub", [gradients[0]!, share])];
};

/** The mean over all positions of a channel. */
export const globalAveragePool: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const x = node.inputs[0]!;
  const [whole, rest] = [x, node.outputs[0]!].map((value) => builder.op("Size", [value]));
  const count = castLike(context, builder.op("Div", [whole!, rest!]), x);
  return [expandLike(context, builder.op("Div", [gradients[0]!, count]), x)];
};

export const globalMaxPool: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const x = node.inputs[0]!;
  const rank = shapeOf(context, x)?.length;
  if (rank === undefined) throw unsupported(node, "the rank of its input is unknown");
  const isIt = builder.op("Equal", [x, node.outputs[0]!]);
  const ones = builder.op("CastLike", [isIt, x]);
  const axes = builder.ints(...Array.from({ length: rank - 2 }, (_, i) => i + 2));
  const count = builder.op("ReduceSum", [ones, axes], { keepdims: 1 });
  return [where(context, isIt, builder.op("Div", [gradients[0]!, count]))];
};
