import { numbersOf } from "../../graph/constants.js";
import { unsupported } from "../../graph/unsupported.js";
import { dtypeOf, scalarLike, shapeOf, unbroadcast } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/** A row for operators that broadcast: dLoss/dInput in the output's shape, by input; summed to each input's shape here. */
function broadcasting(derive: (context: VjpContext, g: string, input: number) => string): Vjp {
  return (context) =>
    context.node.inputs.map((input, i) =>
      context.wanted(i)
        ? unbroadcast(context, derive(context, context.gradients[0]!, i), input, context.node.outputs[0]!)
        : undefined,
    );
}

export const add = broadcasting((_, g) => g);

export const sub = broadcasting((context, g, i) => (i === 0 ? g : negated(context, g)));

/** A product, which onnxruntime computes on all threads, as it does not Neg. */
function negated(context: VjpContext, value: string): string {
  return context.builder.op("Mul", [value, scalarLike(context, -1, context.node.inputs[0]!)]);
}

export const mul = broadcasting(({ node, builder }, g, i) => builder.op("Mul", [g, node.inputs[1 - i]!]));

/** d(a/b) = da/b - y db/b */
export const div = broadcasting((context, g, i) => {
  const { node, builder } = context;
  const share = quotient(context, g);
  return i === 0 ? share : negated(context, builder.op("Mul", [share, node.outputs[0]!]));
});

/** g / b; a product where b is one number in every run, since that is faster. */
function quotient(context: VjpContext, g: string): string {
  const { node, builder } = context;
  const [a = "", b = ""] = node.inputs;
  const [divisor, ...others] = numbersOf(context.constantOf(b)) ?? [];
  const inverse = 1 / (divisor ?? 0);
  if (others.length > 0 || !Number.isFinite(inverse) || (shapeOf(context, b)?.length ?? 1) > 0)
    return builder.op("Div", [g, b]);
  return builder.op("Mul", [g, scalarLike(context, inverse, a)]);
}

/** da^b = b a^(b-1) da + y ln(a) db, the second where a > 0 */
export const pow = broadcasting((context, g, i) => {
  const { node, builder } = context;
  const [a = "", b = ""] = node.inputs;
  if (i === 1) {
    const positive = builder.op("Greater", [a, scalarLike(context, 0, a)]);
    const safe = builder.op("Where", [positive, a, scalarLike(context, 1, a)]);
    return builder.op("Mul", [g, builder.op("Mul", [node.outputs[0]!, builder.op("Log", [safe])])]);
  }
  const exponent = numbersOf(context.constantOf(b));
  if (exponent?.length === 1 && (shapeOf(context, b)?.length ?? 0) === 0) return powScalar(context, g, exponent[0]!);
  const power = dtypeOf(context, b) === dtypeOf(context, a) ? b : builder.op("CastLike", [b, a]);
  const less = builder.op("Sub", [power, scalarLike(context, 1, a)]);
  return builder.op("Mul", [g, builder.op("Mul", [power, builder.op("Pow", [a, less])])]);
});

function powScalar(context: VjpContext, g: string, exponent: number): string {
  const { node, builder } = context;
  const a = node.inputs[0]!;
  const c = (value: number) => scalarLike(context, value, a);
  if (exponent === 1) return g;
  const scaled = builder.op("Mul", [g, c(exponent)]);
  if (exponent === 2) return builder.op("Mul", [scaled, a]);
  if (exponent === 3) return builder.op("Mul", [scaled, builder.op("Mul", [a, a])]);
  if (exponent === 0.5) return builder.op("Div", [scaled, node.outputs[0]!]);
  return builder.op("Mul", [scaled, builder.op("Pow", [a, c(exponent - 1)])]);
}

/** Of several equal largest or smallest inputs each has an equal share, as in PyTorch. */
export const extremum = broadcasting((context, g, i) => {
  const { node, builder } = context;
  const y = node.outputs[0]!;
  if (node.inputs.length === 1) return g;
  const isIt = (input: string) => builder.op("CastLike", [builder.op("Equal", [input, y]), y]);
  const count = builder.op("Sum", node.inputs.map(isIt));
  const share = builder.op("Div", [g, count]);
  return builder.op("Mul", [share, isIt(node.inputs[i]!)]);
});

export const mean = broadcasting((context, g) =>
  context.builder.op("Div", [g, scalarLike(context, context.node.inputs.length, context.node.inputs[0]!)]),
);

/** The remainder's derivative with respect to what is divided; the divisor's is not asked for by any model. */
export const mod: Vjp = (context) => {
  if (context.wanted(1)) throw unsupported(context.node, "no rule for the gradient of a divisor");
  return [unbroadcast(context, context.gradients[0]!, context.node.inputs[0]!, context.node.outputs[0]!)];
};

/** Each side has the gradient where it was chosen. */
export const whereVjp: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [condition = "", x = "", y = ""] = node.inputs;
  const g = gradients[0]!;
  const zero = scalarLike(context, 0, x);
  const side = (input: number, value: string, chosen: readonly [string, string]) =>
    context.wanted(input)
      ? unbroadcast(context, builder.op("Where", [condition, ...chosen]), value, node.outputs[0]!)
      : undefined;
  return [undefined, side(1, x, [g, zero]), side(2, y, [zero, g])];
};
