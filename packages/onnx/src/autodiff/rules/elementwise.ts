import { floatOf, intOf, stringOf } from "../../graph/attributes.js";
import { unsupported } from "../../graph/unsupported.js";
import { dtypeOf, scalarLike, unbroadcast, where } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/** What a row for a function of one tensor sees: g = dLoss/dy, x, y = f(x), and short forms of the operators it needs. */
interface Unary {
  readonly g: string;
  readonly x: string;
  readonly y: string;
  op(name: string, ...inputs: string[]): string;
  /** A scalar constant. */
  c(value: number): string;
  /** A float attribute of the node, or its default. */
  attribute(name: string, byDefault: number): number;
  readonly context: VjpContext;
}

/** dLoss/dx of an elementwise function of the first input. */
function unary(derive: (row: Unary) => string): Vjp {
  return (context) => {
    const { node, builder, gradients } = context;
    const x = node.inputs[0]!;
    return [
      derive({
        g: gradients[0]!,
        x,
        y: node.outputs[0]!,
        op: (name, ...inputs) => builder.op(name, inputs),
        c: (value) => scalarLike(context, value, x),
        attribute: (name, byDefault) => floatOf(node.attributes, name, byDefault),
        context,
      }),
    ];
  };
}

/** One gradient where x > at, and another elsewhere. */
function above({ op, x, c }: Unary, at: number, then: string, otherwise: string): string {
  return op("Where", op("Greater", x, c(at)), then, otherwise);
}

/** 1 - v^2 */
function oneLessSquare({ op, c }: Unary, v: string): string {
  return op("Sub", c(1), op("Mul", v, v));
}

/** e^x + sign e^-x */
function exponentials({ op, x }: Unary, combine: "Add" | "Sub"): string {
  return op(combine, op("Exp", x), op("Exp", op("Neg", x)));
}

export const abs = unary(({ op, g, x }) => op("Mul", g, op("Sign", x)));
/** A product, which onnxruntime computes on all threads, as it does not Neg. */
export const neg = unary(({ op, g, c }) => op("Mul", g, c(-1)));
export const exp = unary(({ op, g, y }) => op("Mul", g, y));
export const log = unary(({ op, g, x }) => op("Div", g, x));
export const sqrt = unary(({ op, g, y, c }) => op("Div", op("Mul", g, c(0.5)), y));
export const reciprocal = unary(({ op, g, y }) => op("Neg", op("Mul", g, op("Mul", y, y))));
export const sin = unary(({ op, g, x }) => op("Mul", g, op("Cos", x)));
export const cos = unary(({ op, g, x }) => op("Neg", op("Mul", g, op("Sin", x))));
export const tan = unary(({ op, g, y, c }) => op("Mul", g, op("Add", c(1), op("Mul", y, y))));
export const asin = unary((row) => row.op("Div", row.g, row.op("Sqrt", oneLessSquare(row, row.x))));
export const acos = unary((row) => row.op("Neg", row.op("Div", row.g, row.op("Sqrt", oneLessSquare(row, row.x)))));
export const atan = unary(({ op, g, x, c }) => op("Div", g, op("Add", op("Mul", x, x), c(1))));
export const sinh = unary((row) => row.op("Mul", row.g, row.op("Mul", exponentials(row, "Add"), row.c(0.5))));
export const cosh = unary((row) => row.op("Mul", row.g, row.op("Mul", exponentials(row, "Sub"), row.c(0.5))));
export const asinh = unary(({ op, g, x, c }) => op("Div", g, op("Sqrt", op("Add", op("Mul", x, x), c(1)))));
export const acosh = unary(({ op, g, x, c }) => op("Div", g, op("Sqrt", op("Sub", op("Mul", x, x), c(1)))));
export const atanh = unary((row) => row.op("Div", row.g, oneLessSquare(row, row.x)));
/** d erf(x)/dx = 2/sqrt(pi) exp(-x^2); a quotient, which spares a sign. */
export const erf = unary(({ op, g, x, c }) =>
  op("Mul", op("Div", g, op("Exp", op("Mul", x, x))), c(2 / Math.sqrt(Math.PI))),
);
export const sigmoid = unary(({ op, g, y, c }) => op("Mul", g, op("Mul", y, op("Sub", c(1), y))));
export const tanh = unary((row) => row.op("Mul", row.g, oneLessSquare(row, row.y)));
export const relu = unary((row) => above(row, 0, row.g, row.c(0)));
export const leakyRelu = unary((row) =>
  above(row, 0, row.g, row.op("Mul", row.g, row.c(row.attribute("alpha", 0.01)))),
);
/** y = alpha (e^x - 1) below zero, so y' = y + alpha */
export const elu = unary((row) =>
  above(row, 0, row.g, row.op("Mul", row.g, row.op("Add", row.y, row.c(row.attribute("alpha", 1))))),
);
export const selu = unary((row) => {
  const { op, g, y, c } = row;
  const alpha = row.attribute("alpha", 1.6732632423543772);
  const gamma = row.attribute("gamma", 1.0507009873554805);
  return above(row, 0, op("Mul", g, c(gamma)), op("Mul", g, op("Add", y, c(alpha * gamma))));
});
export const celu = unary((row) => {
  const { op, g, x, c } = row;
  return above(row, 0, g, op("Mul", g, op("Exp", op("Min", op("Div", x, c(row.attribute("alpha", 1))), c(0)))));
});
export const thresholdedRelu = unary((row) => above(row, row.attribute("alpha", 1), row.g, row.c(0)));
export const shrink = unary(({ op, g, x, c, attribute }) =>
  op("Where", op("Greater", op("Abs", x), c(attribute("lambd", 0.5))), g, c(0)),
);
export const hardSigmoid = unary(({ op, g, y, c, attribute }) => {
  const inside = op("And", op("Greater", y, c(0)), op("Less", y, c(1)));
  return op("Where", inside, op("Mul", g, c(attribute("alpha", 0.2))), c(0));
});
/** 0 below -3, x (x + 3) / 6 between, x above 3 */
export const hardSwish = unary(({ op, g, x, c }) => {
  const slope = op("Add", op("Mul", x, c(1 / 3)), c(0.5));
  const upper = op("Where", op("Less", x, c(3)), slope, c(1));
  return op("Mul", g, op("Where", op("Greater", x, c(-3)), upper, c(0)));
});
export const softplus = unary(({ op, g, x }) => op("Mul", g, op("Sigmoid", x)));
export const softsign = unary(({ op, g, x, c }) => {
  const below = op("Add", c(1), op("Abs", x));
  return op("Div", g, op("Mul", below, below));
});
/** y = x t with t = tanh(softplus(x)): y' = t + x sigmoid(x) (1 - t^2) */
export const mish = unary((row) => {
  const { op, g, x } = row;
  const t = op("Tanh", op("Softplus", x));
  return op("Mul", g, op("Add", t, op("Mul", op("Mul", x, op("Sigmoid", x)), oneLessSquare(row, t))));
});
/** y = x s with s = sigmoid(alpha x): y' = s + alpha y (1 - s) */
export const swish = unary(({ op, g, x, y, c, attribute }) => {
  const alpha = attribute("alpha", 1);
  const s = op("Sigmoid", op("Mul", x, c(alpha)));
  return op("Mul", g, op("Add", s, op("Mul", op("Mul", y, c(alpha)), op("Sub", c(1), s))));
});

/** Both forms of opset 20: x Phi(x), and 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
export const gelu = unary((row) =>
  stringOf(row.context.node.attributes, "approximate", "none") === "tanh" ? tanhGelu(row) : erfGelu(row),
);

/** With u = x/sqrt(2): y' = (1 + erf(u))/2 + u exp(-u^2)/sqrt(pi). HardSigmoid is a line where it does not clip. */
function erfGelu({ op, g, x, c, context }: Unary): string {
  const half = { kind: "float", value: 0.5 } as const;
  const u = op("Mul", x, c(Math.SQRT1_2));
  const phi = context.builder.op("HardSigmoid", [op("Erf", u)], { alpha: half, beta: half });
  const slope = op("Mul", op("Div", u, op("Exp", op("Mul", u, u))), c(1 / Math.sqrt(Math.PI)));
  return op("Mul", g, op("Add", phi, slope));
}

function tanhGelu(row: Unary): string {
  const { op, g, x, c } = row;
  const k = Math.sqrt(2 / Math.PI);
  const square = op("Mul", x, x);
  const t = op("Tanh", op("Mul", x, op("Add", op("Mul", square, c(k * 0.044715)), c(k))));
  const inner = op("Add", op("Mul", square, c(3 * k * 0.044715)), c(k));
  const slope = op("Mul", op("Mul", x, oneLessSquare(row, t)), inner);
  return op("Mul", g, op("Mul", op("Add", op("Add", t, c(1)), slope), c(0.5)));
}

/** The gradient in the input's element type; codes of real numbers have gradients of floats as they are. */
export const cast: Vjp = (context) => {
  const dtype = dtypeOf(context, context.node.inputs[0]!);
  const gradient = context.gradients[0]!;
  const isCode = dtype !== "float64" && dtype !== "float32";
  if (isCode || dtype === dtypeOf(context, context.node.outputs[0]!)) return [gradient];
  return [context.builder.cast(gradient, dtype)];
};

export const identity: Vjp = ({ gradients }) => [gradients[0]];

/** Dropout as inference has it; with training_mode set it is random. */
export const dropout: Vjp = (context) => {
  const mode = context.node.inputs[2];
  const data = mode ? context.constantOf(mode)?.data : undefined;
  if (mode && !(data?.kind === "bytes" && data.bytes[0] === 0)) throw unsupported(context.node, "dropout may be on");
  return [context.gradients[0]];
};

/** Through between the bounds, both included, as in PyTorch; a bound has the sum of what was cut off at it. */
export const clip: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x = "", min, max] = node.inputs;
  const g = gradients[0]!;
  const low = min ? builder.op("Less", [x, min]) : undefined;
  const high = max ? builder.op("Greater", [x, max]) : undefined;
  const cut = low && high ? builder.op("Or", [low, high]) : (low ?? high);
  const sum = (mask: string) => builder.op("ReduceSum", [where(context, mask, g)], { keepdims: 0 });
  return [
    cut && context.wanted(0) ? builder.op("Where", [cut, scalarLike(context, 0, x), g]) : g,
    low && context.wanted(1) ? sum(low) : undefined,
    high && context.wanted(2) ? sum(high) : undefined,
  ];
};

/** slope x below zero; a slope's shape broadcasts to x's. */
export const pRelu: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x = "", slope = ""] = node.inputs;
  const g = gradients[0]!;
  const zero = scalarLike(context, 0, x);
  const positive = builder.op("Greater", [x, zero]);
  const below = (factor: string, then: string) => builder.op("Where", [positive, then, builder.op("Mul", [g, factor])]);
  return [
    context.wanted(0) ? below(slope, g) : undefined,
    context.wanted(1) ? unbroadcast(context, below(x, zero), slope, node.outputs[0]!) : undefined,
  ];
};

/** The sums run the other way, with or without the element itself. */
export const cumSum: Vjp = ({ node, builder, gradients }) => {
  const exclusive = intOf(node.attributes, "exclusive", 0);
  const reverse = 1 - intOf(node.attributes, "reverse", 0);
  return [builder.op("CumSum", [gradients[0]!, node.inputs[1]!], { exclusive, reverse })];
};
