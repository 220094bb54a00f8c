import { OnnxError } from "../../base/errors.js";
import { GraphBuilder } from "../builder.js";
import { constantsOf } from "../constants.js";
import type { Graph, Model, Node, Tensor } from "../ir.js";
import { usesOf } from "../order.js";
import { unsupported } from "../unsupported.js";
import { identity, valueNames } from "../verbs.js";
import * as fused from "./lower-fused.js";
import { groupQueryAttention } from "./lower-gqa.js";
import { contribAttention, multiHeadAttention, standardAttention } from "./lower-multi-head.js";
import * as normalization from "./lower-normalization.js";
import { rotaryEmbedding, standardRotaryEmbedding } from "./lower-rotary.js";
import { type Lowering, Tools } from "./lowering.js";

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

export interface Lowered {
  readonly model: Model;
  readonly changed: boolean;
  /** The nodes that stayed because their lowering does not cover them, and why. */
  readonly refused: ReadonlyMap<Node, string>;
}

/** Writes fused nodes in simpler operators, where `which` says so; the names of their outputs stay. */
export function lower(model: Model, which: (node: Node) => boolean): Lowered {
  const { graph } = model;
  const names = valueNames(graph);
  const builder = new GraphBuilder("lowered/", (name) => names.has(name));
  const constants = constantsOf(graph);
  const taken = new Set([
    ...graph.outputs.map(({ name }) => name),
    ...graph.nodes.flatMap((node) => [...usesOf(node)]),
  ]);
  const refused = new Map<Node, string>();
  let changed = false;
  const nodes = graph.nodes.flatMap((node) => {
    const lowering = which(node) ? loweringOf(node) : undefined;
    if (lowering === undefined) return [node];
    try {
      const lowered = lowerNode(node, lowering, { graph, constants, builder, taken });
      changed = true;
      return lowered;
    } catch (error) {
      if (!(error instanceof OnnxError && error.code === "unsupported-operator")) throw error;
      refused.set(node, error.message);
      return [node];
    }
  });
  const initializers = new Map([...graph.initializers, ...builder.initializers]);
  return changed
    ? { model: { ...model, graph: { ...graph, nodes, initializers } }, changed, refused }
    : { model, changed, refused };
}

/** MatMulNBits everywhere with activations in float32, so that the loss is that of the weights as they are dequantised. */
export function lowerPrecision(model: Model): Model {
  const isIt = (node: Node) => node.op === "MatMulNBits" && node.domain === "com.microsoft";
  const nodes = model.graph.nodes.map((node) =>
    isIt(node)
      ? { ...node, attributes: { ...node.attributes, accuracy_level: { kind: "int", value: 1 } as const } }
      : node,
  );
  return model.graph.nodes.some(isIt) ? { ...model, graph: { ...model.graph, nodes } } : model;
}

interface Surroundings {
  readonly graph: Graph;
  readonly constants: ReadonlyMap<string, Tensor>;
  readonly builder: GraphBuilder;
  /** Values that a node or the graph's outputs take. */
  readonly taken: ReadonlySet<string>;
}

function lowerNode(node: Node, lowering: Lowering, surroundings: Surroundings): readonly Node[] {
  const { graph, constants, builder, taken } = surroundings;
  const before = builder.nodes.length;
  const typeOf = (value: string) => graph.types.get(value);
  const constantOf = (value: string) => constants.get(value) ?? builder.initializers.get(value);
  try {
    const results = lowering(new Tools({ node, builder, typeOf, constantOf }));
    const named = node.outputs.flatMap((output, i): readonly Node[] => {
      const result = results[i];
      if (result !== undefined)
        return output === "" ? [] : [{ ...identity(result, output), name: `${node.name}_${i}` }];
      if (taken.has(output)) throw unsupported(node, `no rule for its output ${i}`);
      return [];
    });
    return [...builder.nodes.slice(before), ...named];
  } finally {
    builder.nodes.splice(before);
  }
}
