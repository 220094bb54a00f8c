import { tensorOf } from "../graph/builder.js";
import { inferGraph, inferTypes } from "../graph/infer/infer.js";
import type { Model, Node, Tensor } from "../graph/ir.js";
import { fuse } from "../graph/passes/fuse.js";
import { lower } from "../graph/passes/lower.js";
import { raiseOpset } from "../graph/passes/raise-opset.js";
import { upcast } from "../graph/passes/upcast.js";
import { reach } from "./reach.js";

export interface Prepared {
  readonly model: Model;
  /** Nodes on the path whose lowering was refused, and why. */
  readonly refused: ReadonlyMap<Node, string>;
  /** Integers that are computed, and the same in every run. */
  readonly constants: ReadonlyMap<string, Tensor>;
  /** @see Fused */
  expand(derived: Model): Model;
}

/**
 * The model as derivatives are written for: opset 20 or later, float32 where it was 16 bits, normalisations and GELU in one
 * node, and the fused operators between `wrt` and the loss in simpler ones. Others keep their kernels, but for MatMulNBits, which
 * may round activations, and dequantises its weight in every run.
 */
export function prepare(model: Model, wrt: readonly string[], ends: readonly string[]): Prepared {
  const raised = upcast(raiseOpset(model)).model;
  const { model: plain, expand } = fuse(isTyped(raised) ? raised : inferTypes(raised), new Set(wrt));
  const path = new Set(reach(plain.graph, wrt, ends).nodes);
  const { model: lowered, refused } = lower(plain, (node) => path.has(node) || node.op === "MatMulNBits");
  const { graph, known } = inferGraph(lowered.graph, lowered.opsets);
  const constants = new Map<string, Tensor>();
  for (const [name, { dims, data }] of known) {
    const isWhole = data.every((value): value is number => typeof value === "number");
    if (isWhole && graph.types.get(name)?.dtype === "int64") constants.set(name, tensorOf("int64", data, dims));
  }
  return { model: { ...lowered, graph }, refused, constants, expand };
}

function isTyped({ graph }: Model): boolean {
  return graph.nodes.every(({ outputs }) => outputs.every((output) => output === "" || graph.types.has(output)));
}
