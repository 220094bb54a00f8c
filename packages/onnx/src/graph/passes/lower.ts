import type { Model, Node } from "../ir.js";
import { matMulNBits } from "./lower-blocks.js";
import * as fused from "./lower-fused.js";
import { groupQueryAttention } from "./lower-gqa.js";
import { contribAttention, multiHeadAttention, standardAttention } from "./lower-multi-head.js";
import { type Lowered, lowerNodes } from "./lower-nodes.js";
import * as normalization from "./lower-normalization.js";
import { rotaryEmbedding, standardRotaryEmbedding } from "./lower-rotary.js";
import type { Lowering } from "./lowering.js";

/** How fused operators are written in those that have a derivative, by domain. */
export const LOWERINGS = {
  "": {
    Attention: standardAttention,
    RotaryEmbedding: standardRotaryEmbedding,
    InstanceNormalization: normalization.instanceNormalization,
    GroupNormalization: normalization.groupNormalization,
    MeanVarianceNormalization: normalization.meanVarianceNormalization,
  },
  "com.microsoft": {
    Attention: contribAttention,
    BiasGelu: fused.gelu,
    BiasSoftmax: fused.biasSoftmax,
    DequantizeLinear: fused.standard,
    DynamicQuantizeMatMul: fused.dynamicQuantizeMatMul,
    EmbedLayerNormalization: normalization.embedLayerNormalization,
    FastGelu: fused.fastGelu,
    FusedConv: fused.fusedConv,
    FusedGemm: fused.fusedGemm,
    FusedMatMul: fused.fusedMatMul,
    FusedMatMulActivation: fused.fusedMatMulActivation,
    Gelu: fused.gelu,
    GemmFastGelu: fused.gemmFastGelu,
    GroupQueryAttention: groupQueryAttention,
    MatMulIntegerToFloat: fused.matMulIntegerToFloat,
    MatMulNBits: matMulNBits,
    MultiHeadAttention: multiHeadAttention,
    QuantizeLinear: fused.standard,
    QuickGelu: fused.quickGelu,
    RotaryEmbedding: rotaryEmbedding,
    SkipLayerNormalization: normalization.skipLayerNormalization,
    SkipSimplifiedLayerNormalization: normalization.skipSimplifiedLayerNormalization,
    TransposeMatMul: fused.fusedMatMul,
    Trilu: fused.standard,
  },
} as const satisfies { readonly [domain: string]: { readonly [op: string]: Lowering } };

const BY_DOMAIN: { readonly [domain: string]: ReadonlyMap<string, Lowering> } = Object.fromEntries(
  Object.entries(LOWERINGS).map(([domain, rows]) => [domain, new Map<string, Lowering>(Object.entries(rows))]),
);

function loweringOf({ op, domain }: Node): Lowering | undefined {
  return BY_DOMAIN[domain]?.get(op);
}

/** Writes fused nodes in simpler operators, where `which` says so; the names of their outputs stay. */
export function lower(model: Model, which: (node: Node) => boolean): Lowered {
  return lowerNodes(model, (node) => (which(node) ? loweringOf(node) : undefined));
}
