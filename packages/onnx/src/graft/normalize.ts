import type { Model, Node } from "../graph/ir.js";
import { inlineConstantIf } from "../graph/passes/inline-if.js";
import { fusedGemm } from "../graph/passes/lower-fused.js";
import { lowerNodes } from "../graph/passes/lower-nodes.js";
import { raiseOpset } from "../graph/passes/raise-opset.js";

/**
 * Constant branches show their nodes, and projections that onnxruntime fused with their activation stand before it; adapters and
 * losses are written as operators are since opset 13.
 */
export function normalize(model: Model): Model {
  const shown = inlineConstantIf(model);
  const isFused = ({ op, domain }: Node) => op === "FusedGemm" && domain === "com.microsoft";
  const plain = lowerNodes(shown, (node) => (isFused(node) ? fusedGemm : undefined)).model;
  return (plain.opsets.get("") ?? 13) < 13 ? raiseOpset(plain) : plain;
}
