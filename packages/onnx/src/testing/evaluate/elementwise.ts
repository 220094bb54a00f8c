import { floatOf, intOf, stringOf } from "../../graph/attributes.js";
import { isIntegral } from "../../graph/dtype.js";
import { combine } from "../../graph/elements/combine.js";
import type { EvaluationContext, Evaluator } from "../../graph/elements/context.js";
import { type Dense, dense, fromTensor, toTensor } from "../../graph/elements/dense.js";
import type { DType } from "../../graph/ir.js";
import { dtypeOf } from "../../graph/serde/tensor.js";
import { erf } from "./special.js";

/** An operator that computes each element from the same element. */
export function unary(compute: (x: number, context: EvaluationContext) => number): Evaluator {
  return (context) => {
    const x = context.input(0);
    return [{ ...x, data: x.data.map((value) => compute(value, context)) }];
  };
}

/** The same, for tests that give a truth value. */
export function predicate(compute: (x: number) => boolean): Evaluator {
  return (context) => {
    const x = context.input(0);
    return [{ ...x, dtype: "bool", data: x.data.map((value) => +compute(value)) }];
  };
}

/** An operator on two tensors that are broadcast together. @param dtype of the result; the first input's by default */
export function binary(
  compute: (a: number, b: number, isInteger: boolean, context: EvaluationContext) => number,
  dtype?: DType,
): Evaluator {
  return (context) => {
    const [a, b] = [context.input(0), context.input(1)];
    const isInteger = isIntegral(a.dtype);
    const combined = combine([a, b], dtype ?? a.dtype, ([x, y]) => compute(x!, y!, isInteger, context));
    return [combined];
  };
}

/** An operator on any number of tensors that are broadcast together. */
export function variadic(compute: (values: readonly number[]) => number): Evaluator {
  return (context) => {
    const inputs = context.node.inputs.map((_, index) => context.input(index));
    return [combine(inputs, inputs[0]!.dtype, compute)];
  };
}

/** Truncated for integers, as in C. */
export const div = binary((a, b, isInteger) => (isInteger ? Math.trunc(a / b) : a / b));

/** The sign of the divisor, or with `fmod` that of the dividend. */
export const mod = binary((a, b, _, { node }) => {
  if (intOf(node.attributes, "fmod", 0) === 1) return a % b;
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
});

export const clip: Evaluator = (context) => {
  const x = context.input(0);
  const min = context.inputs[1]?.data[0] ?? floatOf(context.node.attributes, "min", Number.NEGATIVE_INFINITY);
  const max = context.inputs[2]?.data[0] ?? floatOf(context.node.attributes, "max", Number.POSITIVE_INFINITY);
  return [{ ...x, data: x.data.map((value) => Math.min(max, Math.max(min, value))) }];
};

/** To integers by truncation; to a type of 32 or fewer bits by its own rounding and wrapping; the rest as it is. */
export const cast: Evaluator = (context) => {
  const to = context.inputs[1]?.dtype ?? dtypeOf(intOf(context.node.attributes, "to", 1)) ?? "float32";
  return [castTo(context.input(0), to)];
};

/** The numbers as another type holds them. */
export function castTo(x: Dense, to: DType): Dense {
  if (to === "bool") return { ...x, dtype: to, data: x.data.map((value) => +(value !== 0)) };
  if (to === "float64" || to === x.dtype) return { ...x, dtype: to };
  const whole = isIntegral(to) ? x.data.map((value) => Math.trunc(value)) : x.data;
  const tensor = toTensor({ dtype: to, dims: x.dims, data: whole });
  return (tensor && fromTensor(tensor)) ?? dense(to, x.dims, whole);
}

export const gelu = unary((x, { node }) => {
  if (stringOf(node.attributes, "approximate", "none") === "tanh") return geluTanh(x);
  return 0.5 * x * (1 + erf(x / Math.SQRT2));
});

/** 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
export function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

export function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

export function celu(x: number, alpha: number): number {
  return Math.max(0, x) + Math.min(0, alpha * Math.expm1(x / alpha));
}

export function hardSigmoid(x: number, alpha: number, beta: number): number {
  return Math.max(0, Math.min(1, alpha * x + beta));
}

export const selu = unary((x, { node: { attributes } }) => {
  const alpha = floatOf(attributes, "alpha", 1.6732632423543772);
  return floatOf(attributes, "gamma", 1.0507009873554805) * (x > 0 ? x : alpha * Math.expm1(x));
});

export const isInf: Evaluator = (context) => {
  const { attributes } = context.node;
  const isPositive = intOf(attributes, "detect_positive", 1) === 1;
  const isNegative = intOf(attributes, "detect_negative", 1) === 1;
  const isFound = (x: number) =>
    (isPositive && x === Number.POSITIVE_INFINITY) || (isNegative && x === Number.NEGATIVE_INFINITY);
  return predicate(isFound)(context);
};
