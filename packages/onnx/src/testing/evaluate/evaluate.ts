import { floatOf } from "../../graph/attributes.js";
import { EvaluationContext, type Evaluator } from "../../graph/elements/context.js";
import { type Dense, fromTensor, roundToEven } from "../../graph/elements/dense.js";
import * as layout from "../../graph/elements/layout.js";
import { MOVEMENTS } from "../../graph/elements/movements.js";
import type { Graph, Node } from "../../graph/ir.js";
import { unsupported } from "../../graph/unsupported.js";
import { conv } from "./conv.js";
import * as create from "./create.js";
import * as each from "./elementwise.js";
import * as matrix from "./matrix.js";
import * as reduce from "./reduce.js";
import * as select from "./select.js";
import { erf } from "./special.js";

/** Standard operators in float64, by name: the oracle that derivatives and shapes are checked against. */
export const EVALUATORS: { readonly [op: string]: Evaluator } = {
  ...MOVEMENTS,
  Abs: each.unary(Math.abs),
  Acos: each.unary(Math.acos),
  Acosh: each.unary(Math.acosh),
  Add: each.binary((a, b) => a + b),
  And: each.binary((a, b) => a && b && 1, "bool"),
  ArgMax: reduce.arg((value, best) => value > best),
  ArgMin: reduce.arg((value, best) => value < best),
  Asin: each.unary(Math.asin),
  Asinh: each.unary(Math.asinh),
  Atan: each.unary(Math.atan),
  Atanh: each.unary(Math.atanh),
  Cast: each.cast,
  CastLike: each.cast,
  Ceil: each.unary(Math.ceil),
  Celu: each.unary((x, { node }) => each.celu(x, floatOf(node.attributes, "alpha", 1))),
  Clip: each.clip,
  Constant: create.constant,
  ConstantOfShape: create.constantOfShape,
  Conv: conv,
  Cos: each.unary(Math.cos),
  Cosh: each.unary(Math.cosh),
  CumSum: reduce.cumSum,
  Div: each.div,
  Einsum: matrix.einsum,
  Elu: each.unary((x, { node }) => (x < 0 ? floatOf(node.attributes, "alpha", 1) * Math.expm1(x) : x)),
  Equal: each.binary((a, b) => +(a === b), "bool"),
  Erf: each.unary(erf),
  Exp: each.unary(Math.exp),
  EyeLike: create.eyeLike,
  Floor: each.unary(Math.floor),
  GatherElements: select.gatherElements,
  GatherND: select.gatherND,
  Gelu: each.gelu,
  Gemm: matrix.gemm,
  Greater: each.binary((a, b) => +(a > b), "bool"),
  GreaterOrEqual: each.binary((a, b) => +(a >= b), "bool"),
  HardSigmoid: each.unary((x, { node: { attributes } }) =>
    each.hardSigmoid(x, floatOf(attributes, "alpha", 0.2), floatOf(attributes, "beta", 0.5)),
  ),
  HardSwish: each.unary((x) => x * each.hardSigmoid(x, 1 / 6, 0.5)),
  IsInf: each.isInf,
  IsNaN: each.predicate(Number.isNaN),
  LayerNormalization: reduce.layerNormalization,
  LeakyRelu: each.unary((x, { node }) => (x < 0 ? floatOf(node.attributes, "alpha", 0.01) * x : x)),
  Less: each.binary((a, b) => +(a < b), "bool"),
  LessOrEqual: each.binary((a, b) => +(a <= b), "bool"),
  Log: each.unary(Math.log),
  LogSoftmax: reduce.logSoftmax,
  MatMul: matrix.matMul,
  Max: each.variadic((values) => Math.max(...values)),
  Mean: each.variadic((values) => values.reduce((a, b) => a + b, 0) / values.length),
  Min: each.variadic((values) => Math.min(...values)),
  Mish: each.unary((x) => x * Math.tanh(each.softplus(x))),
  Mod: each.mod,
  Mul: each.binary((a, b) => a * b),
  Neg: each.unary((x) => -x),
  NonZero: select.nonZero,
  Not: each.unary((x) => +(x === 0)),
  OneHot: select.oneHot,
  Or: each.binary((a, b) => +(a !== 0 || b !== 0), "bool"),
  PRelu: each.binary((x, slope) => (x < 0 ? slope * x : x)),
  Pad: layout.pad,
  Pow: each.binary((a, b, isInteger) => (isInteger ? Math.trunc(a ** b) : a ** b)),
  RMSNormalization: reduce.rmsNormalization,
  Range: create.range,
  Reciprocal: each.unary((x) => 1 / x),
  ReduceL1: reduce.reduce(reduce.l1),
  ReduceL2: reduce.reduce(reduce.l2),
  ReduceLogSum: reduce.reduce(reduce.logSum),
  ReduceLogSumExp: reduce.reduce(reduce.logSumExp),
  ReduceMax: reduce.reduce(reduce.max),
  ReduceMean: reduce.reduce(reduce.mean),
  ReduceMin: reduce.reduce(reduce.min),
  ReduceProd: reduce.reduce(reduce.product),
  ReduceSum: reduce.reduce(reduce.sum),
  ReduceSumSquare: reduce.reduce(reduce.sumSquare),
  Relu: each.unary((x) => Math.max(0, x)),
  Round: each.unary(roundToEven),
  ScatterElements: select.scatterElements,
  ScatterND: select.scatterND,
  Selu: each.selu,
  Shape: create.shape,
  Sigmoid: each.unary(each.sigmoid),
  Sign: each.unary(Math.sign),
  SimplifiedLayerNormalization: reduce.rmsNormalization,
  Sin: each.unary(Math.sin),
  Sinh: each.unary(Math.sinh),
  Size: create.size,
  Softmax: reduce.softmax,
  Softplus: each.unary(each.softplus),
  Softsign: each.unary((x) => x / (1 + Math.abs(x))),
  Sqrt: each.unary(Math.sqrt),
  Sub: each.binary((a, b) => a - b),
  Sum: each.variadic((values) => values.reduce((a, b) => a + b, 0)),
  Swish: each.unary((x, { node }) => x * each.sigmoid(floatOf(node.attributes, "alpha", 1) * x)),
  Tan: each.unary(Math.tan),
  Tanh: each.unary(Math.tanh),
  ThresholdedRelu: each.unary((x, { node }) => (x > floatOf(node.attributes, "alpha", 1) ? x : 0)),
  TopK: select.topK,
  Trilu: layout.trilu,
  Xor: each.binary((a, b) => +((a !== 0) !== (b !== 0)), "bool"),
};

/**
 * The outputs of one node.
 *
 * @throws OnnxError `unsupported-operator` if there is no evaluator, `shape-mismatch` or `out-of-range` if the inputs do not fit
 */
export function evaluateNode(node: Node, inputs: readonly (Dense | undefined)[], opset: number): readonly Dense[] {
  const evaluator = node.domain === "" && Object.hasOwn(EVALUATORS, node.op) ? EVALUATORS[node.op] : undefined;
  if (evaluator === undefined) throw unsupported(node, "it is not evaluated");
  return evaluator(new EvaluationContext(node, inputs, opset));
}

/** Every value of a graph for given inputs, in float64; an oracle, not fast. */
export function evaluateGraph(graph: Graph, feeds: ReadonlyMap<string, Dense>, opset: number): Map<string, Dense> {
  const values = new Map(feeds);
  for (const [name, tensor] of graph.initializers) {
    const value = fromTensor(tensor);
    if (value !== undefined) values.set(name, value);
  }
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => values.get(name));
    for (const [index, output] of evaluateNode(node, inputs, opset).entries()) {
      const name = node.outputs[index];
      if (name) values.set(name, output);
    }
  }
  return values;
}
