import { intOf } from "../../graph/attributes.js";
import type { GraphBuilder } from "../../graph/builder.js";
import type { Tensor } from "../../graph/ir.js";
import { unsupported } from "../../graph/unsupported.js";
import { dtypeOf, shapeOf, unbroadcast } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/** How MatMulNBits lays out its weight: for each output, blocks of inputs that share a scale. */
interface Blocks {
  readonly dtype: "uint4" | "uint8";
  readonly size: number;
  readonly count: number;
  readonly outFeatures: number;
}

/** dX = dY W with W dequantised from its blocks; its bytes are [out, in] already. Source: ContribOperators.md, MatMulNBits */
export const matMulNBits: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x = "", , , , groups, bias] = node.inputs;
  const { attributes } = node;
  const bits = intOf(attributes, "bits", 4);
  const size = intOf(attributes, "block_size", 32);
  const inFeatures = intOf(attributes, "K", 0);
  if (bits !== 4 && bits !== 8) throw unsupported(node, `no rule for ${bits} bits`);
  if (groups) throw unsupported(node, "no rule for g_idx");
  const blocks: Blocks = {
    dtype: bits === 4 ? "uint4" : "uint8",
    size,
    count: Math.ceil(inFeatures / size),
    outFeatures: intOf(attributes, "N", 0),
  };
  const dx = () => {
    const whole = builder.op("MatMul", [gradients[0]!, weightOf(context, blocks)]);
    if (blocks.count * size === inFeatures) return whole;
    return builder.op("Slice", [whole, builder.ints(0), builder.ints(inFeatures), builder.ints(-1)]);
  };
  const y = node.outputs[0]!;
  return [
    context.wanted(0) ? dx() : undefined,
    ...[undefined, undefined, undefined, undefined],
    bias && context.wanted(5) ? unbroadcast(context, gradients[0]!, bias, shapeOf(context, y) ? y : x) : undefined,
  ];
};

/** W [out, count * size] in floats: scale (code - zero point), block by block. */
function weightOf(context: VjpContext, { dtype, size, count, outFeatures }: Blocks): string {
  const { node, builder } = context;
  const [, codes = "", scales = "", zeroPoints] = node.inputs;
  const values = declared(context, codes, dtype, [outFeatures, count * size]);
  const scaleRows = builder.op("Reshape", [scales, builder.ints(outFeatures, count)]);
  const dequantize = (...zero: string[]) =>
    builder.op("DequantizeLinear", [values, scaleRows, ...zero], { axis: 1, block_size: size });
  if (!zeroPoints) return dequantize(middle(builder, dtype, [outFeatures, count]));
  const packed = dtypeOf(context, zeroPoints) === "uint8";
  const perRow = dtype === "uint4" && packed ? 2 * Math.ceil(count / 2) : count;
  if (packed && perRow === count) return dequantize(declared(context, zeroPoints, dtype, [outFeatures, count]));

  const zeros = packed
    ? builder.op("Slice", [
        builder.op("DequantizeLinear", [
          declared(context, zeroPoints, dtype, [outFeatures, perRow]),
          builder.scalar(1),
        ]),
        ...[builder.ints(0), builder.ints(count), builder.ints(1)],
      ])
    : builder.op("Reshape", [zeroPoints, builder.ints(outFeatures, count)]);
  const shift = builder.op("Unsqueeze", [builder.op("Mul", [zeros, scaleRows]), builder.ints(2)]);
  const grouped = builder.op("Reshape", [dequantize(), builder.ints(outFeatures, count, size)]);
  return builder.op("Reshape", [builder.op("Sub", [grouped, shift]), builder.ints(outFeatures, count * size)]);
}

/** The bytes of a constant as another tensor, without a copy. */
function declared(context: VjpContext, value: string, dtype: Blocks["dtype"], dims: readonly number[]): string {
  const tensor = context.constantOf(value);
  if (tensor === undefined) throw unsupported(context.node, "its quantised weight is no constant");
  const name = context.builder.fresh("codes");
  context.builder.initializers.set(name, { dtype, dims, data: tensor.data });
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
