import { intOf, stringOf } from "../attributes.js";
import { unsupported } from "../unsupported.js";
import type { Lowering, Tools } from "./lowering.js";

/** The same operator of the standard set. */
export const standard: Lowering = (tools) => {
  const { node, builder } = tools;
  return builder.ops(node.op, node.inputs, node.outputs.length, node.attributes);
};

/** Gelu of a sum, or of one value. @param approximate as the standard Gelu has it */
function geluOf(approximate: "none" | "tanh"): Lowering {
  return (tools) => {
    const sum = tools.plus(tools.input(0), tools.input(1));
    if (approximate === "tanh") return [tanhGelu(tools, sum)];
    const half = tools.op("Mul", [sum, tools.scalar(0.5)]);
    const erf = tools.op("Erf", [tools.op("Mul", [sum, tools.scalar(Math.SQRT1_2)])]);
    return [tools.op("Mul", [half, tools.op("Add", [erf, tools.scalar(1)])])];
  };
}

export const gelu = geluOf("none");
export const fastGelu = geluOf("tanh");

/** 0.5 x (1 + tanh(x (c + 0.044715 c x^2))), c = sqrt(2/pi) */
function tanhGelu(tools: Tools, x: string): string {
  const c = Math.sqrt(2 / Math.PI);
  const cube = tools.op("Mul", [tools.op("Mul", [x, x]), tools.scalar(c * 0.044715)]);
  const tanh = tools.op("Tanh", [tools.op("Mul", [x, tools.op("Add", [cube, tools.scalar(c)])])]);
  return tools.op("Mul", [tools.op("Mul", [x, tools.scalar(0.5)]), tools.op("Add", [tanh, tools.scalar(1)])]);
}

/** x sigmoid(alpha x) */
export const quickGelu: Lowering = (tools) => {
  const x = tools.input(0);
  const scaled = tools.op("Mul", [x, tools.scalar(tools.attribute("alpha", 1.702))]);
  return [tools.op("Mul", [x, tools.op("Sigmoid", [scaled])])];
};

/** alpha A' B', with the last two dimensions of either exchanged, or the batch dimension moved in from the front. */
export const fusedMatMul: Lowering = (tools) => {
  const { attributes } = tools.node;
  const side = (name: "A" | "B", value: string): string => {
    const [trans, batch] = [intOf(attributes, `trans${name}`, 0), intOf(attributes, `transBatch${name}`, 0)];
    if (trans === 0 && batch === 0) return value;
    const rank = tools.rankOf(value);
    if (rank === undefined) throw unsupported(tools.node, "the rank of an input that it transposes is unknown");
    return rank < 2 ? value : tools.op("Transpose", [value], { perm: permOf(rank, trans === 1, batch === 1) });
  };
  const product = tools.op("MatMul", [side("A", tools.input(0)), side("B", tools.input(1))]);
  const alpha = tools.attribute("alpha", 1);
  return [alpha === 1 ? product : tools.op("Mul", [product, tools.scalar(alpha)])];
};

/** transBatch reads [rows, batch…, columns]; trans then exchanges rows and columns. */
function permOf(rank: number, trans: boolean, batch: boolean): readonly number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  const moved = batch ? [...axes.slice(1, -1), 0, rank - 1] : axes;
  return trans ? [...moved.slice(0, -2), moved[rank - 1]!, moved[rank - 2]!] : moved;
}

/** An operator with an activation behind it, as Gemm and Conv are fused. @param addend the input that is added before it */
function activated(op: string, addend?: number): Lowering {
  return (tools) => {
    const { node, builder } = tools;
    const { activation, activation_alpha, activation_beta, activation_gamma, activation_params, ...rest } =
      node.attributes;
    const inputs = addend === undefined ? node.inputs : node.inputs.slice(0, addend);
    const plain = builder.fresh(op);
    builder.add({ ...node, op, domain: "", inputs, outputs: [plain], attributes: rest });
    const sum = addend === undefined ? plain : tools.plus(plain, tools.input(addend));
    if (activation?.kind !== "string") return [sum];
    if (activation_params) throw unsupported(node, "no rule for activation_params");
    const parameters = { alpha: activation_alpha, beta: activation_beta, gamma: activation_gamma };
    const given = Object.entries(parameters).flatMap(([name, value]) => (value ? [[name, value] as const] : []));
    return [builder.op(activation.value, [sum], Object.fromEntries(given))];
  };
}

export const fusedGemm = activated("Gemm");
export const fusedConv = activated("Conv", 3);

/** com.microsoft.GemmFastGelu: a product, a bias, and Gelu by tanh. */
export const gemmFastGelu: Lowering = (tools) => [
  tanhGelu(tools, tools.plus(tools.op("MatMul", [tools.input(0), tools.input(1)]), tools.input(2))),
];

/** com.microsoft.DynamicQuantizeMatMul: the left factor quantised as it comes, the right one a constant. */
export const dynamicQuantizeMatMul: Lowering = (tools) => {
  const [a, b, bScale, bZero, bias] = [0, 1, 2, 3, 4].map((i) => tools.input(i)) as [
    ...[string, string, string],
    ...[string, string],
  ];
  const [codes, scale, zero] = tools.builder.ops("DynamicQuantizeLinear", [a], 3) as [string, string, string];
  return [integerProduct(tools, codes, b, scale, bScale, zero, bZero, bias)];
};

/** com.microsoft.MatMulIntegerToFloat */
export const matMulIntegerToFloat: Lowering = (tools) => {
  const [a, b, aScale, bScale, aZero, bZero, bias] = [0, 1, 2, 3, 4, 5, 6].map((i) => tools.input(i)) as [
    ...[string, string, string, string],
    ...[string, string, string],
  ];
  return [integerProduct(tools, a, b, aScale, bScale, aZero, bZero, bias)];
};

/** (A - a0)(B - b0) aScale bScale + bias */
function integerProduct(
  tools: Tools,
  a: string,
  b: string,
  aScale: string,
  bScale: string,
  aZero: string,
  bZero: string,
  bias: string,
): string {
  const zeros = bZero ? [aZero, bZero] : aZero ? [aZero] : [];
  const product = tools.builder.cast(tools.op("MatMulInteger", [a, b, ...zeros]), "float32");
  return tools.plus(tools.op("Mul", [product, tools.op("Mul", [aScale, bScale])]), bias);
}

/** com.microsoft.BiasSoftmax: softmax of a sum over the axes from one on, which are the last one in transformers. */
export const biasSoftmax: Lowering = (tools) => {
  const rank = tools.rankOf(tools.input(0));
  const axis = intOf(tools.node.attributes, "axis", 1);
  if (axis !== -1 && axis !== (rank ?? 0) - 1) throw unsupported(tools.node, "no rule for a softmax over several axes");
  return [tools.op("Softmax", [tools.op("Add", [tools.input(0), tools.input(1)])], { axis: -1 })];
};

/** com.microsoft.FusedMatMulActivation */
export const fusedMatMulActivation: Lowering = (tools) => {
  const product = fusedMatMul(tools)[0]!;
  const { activation_alpha, activation_beta } = tools.node.attributes;
  const name = stringOf(tools.node.attributes, "activation", "");
  if (name === "") throw unsupported(tools.node, "its activation is missing");
  const alpha = activation_alpha ? { alpha: activation_alpha } : {};
  const beta = activation_beta ? { beta: activation_beta } : {};
  return [tools.op(name, [product], { ...alpha, ...beta })];
};
