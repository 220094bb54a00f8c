import type { GraphBuilder } from "../builder.js";
import type { Tensor } from "../ir.js";
import { unsupported } from "../unsupported.js";
import type { Lowering, Tools } from "./lowering.js";

/** How MatMulNBits lays out its weight: for each output, blocks of inputs that share a scale. */
interface Blocks {
  readonly dtype: "uint4" | "uint8";
  readonly size: number;
  readonly count: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/**
 * com.microsoft.MatMulNBits: y = x W^T with W dequantised from its blocks, whose bytes are [out, in] already. Source: onnxruntime,
 * ContribOperators.md
 */
export const matMulNBits: Lowering = (tools) => {
  const bits = tools.attribute("bits", 4);
  const size = tools.attribute("block_size", 32);
  const inFeatures = tools.attribute("K", 0);
  if (bits !== 4 && bits !== 8) throw unsupported(tools.node, `no rule for ${bits} bits`);
  if (tools.input(4)) throw unsupported(tools.node, "no rule for g_idx");
  const blocks: Blocks = {
    dtype: bits === 4 ? "uint4" : "uint8",
    size,
    count: Math.ceil(inFeatures / size),
    inFeatures,
    outFeatures: tools.attribute("N", 0),
  };
  const weight = tools.op("Transpose", [weightOf(tools, blocks)], { perm: [1, 0] });
  return [tools.plus(tools.op("MatMul", [tools.input(0), weight]), tools.input(5))];
};

/** W [out, in] in floats: scale (code - zero point), block by block. */
function weightOf(tools: Tools, blocks: Blocks): string {
  const { size, count, inFeatures } = blocks;
  const whole = dequantized(tools, blocks);
  if (count * size === inFeatures) return whole;
  return tools.op("Slice", [whole, tools.ints(0), tools.ints(inFeatures), tools.ints(1)]);
}

/** W [out, count * size]. */
function dequantized(tools: Tools, { dtype, size, count, outFeatures }: Blocks): string {
  const [codes, scales, zeroPoints] = [tools.input(1), tools.input(2), tools.input(3)];
  const values = declared(tools, codes, dtype, [outFeatures, count * size]);
  const scaleRows = tools.op("Reshape", [scales, tools.ints(outFeatures, count)]);
  const dequantize = (...zero: string[]) =>
    tools.op("DequantizeLinear", [values, scaleRows, ...zero], { axis: 1, block_size: size });
  if (!zeroPoints) return dequantize(middle(tools.builder, dtype, [outFeatures, count]));
  const packed = tools.dtypeOf(zeroPoints) === "uint8";
  const perRow = dtype === "uint4" && packed ? 2 * Math.ceil(count / 2) : count;
  if (packed && perRow === count) return dequantize(declared(tools, zeroPoints, dtype, [outFeatures, count]));

  const zeros = packed
    ? tools.op("Slice", [
        tools.op("DequantizeLinear", [declared(tools, zeroPoints, dtype, [outFeatures, perRow]), tools.scalar(1)]),
        ...[tools.ints(0), tools.ints(count), tools.ints(1)],
      ])
    : tools.op("Reshape", [zeroPoints, tools.ints(outFeatures, count)]);
  const shift = tools.op("Unsqueeze", [tools.op("Mul", [zeros, scaleRows]), tools.ints(2)]);
  const grouped = tools.op("Reshape", [dequantize(), tools.ints(outFeatures, count, size)]);
  return tools.op("Reshape", [tools.op("Sub", [grouped, shift]), tools.ints(outFeatures, count * size)]);
}

/** The bytes of a constant as another tensor, without a copy. */
function declared(tools: Tools, value: string, dtype: Blocks["dtype"], dims: readonly number[]): string {
  const tensor = tools.constantOf(value);
  if (tensor === undefined) throw unsupported(tools.node, "its quantised weight is no constant");
  const name = tools.builder.fresh("codes");
  tools.builder.initializers.set(name, { dtype, dims, data: tensor.data });
  return name;
}

const middles = new WeakMap<GraphBuilder, Map<string, string>>();

/** The zero points of a symmetric weight: 8 of 16 and 128 of 256; one tensor for all weights of a shape. */
function middle(builder: GraphBuilder, dtype: Blocks["dtype"], dims: readonly [number, number]): string {
  const known = middles.get(builder) ?? new Map<string, string>();
  middles.set(builder, known);
  const key = `${dtype} ${dims.join("x")}`;
  const name = known.get(key) ?? builder.fresh("middle");
  if (!known.has(key)) builder.initializers.set(name, middleTensor(dtype, dims));
  known.set(key, name);
  return name;
}

function middleTensor(dtype: Blocks["dtype"], dims: readonly [number, number]): Tensor {
  const count = dims[0] * dims[1];
  const bytes = new Uint8Array(dtype === "uint4" ? Math.ceil(count / 2) : count).fill(dtype === "uint4" ? 0x88 : 0x80);
  return { dtype, dims, data: { kind: "bytes", bytes } };
}
