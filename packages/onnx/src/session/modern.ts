import type { Model } from "../graph/ir.js";
import { inlineConstantIf } from "../graph/passes/inline-if.js";
import { lower } from "../graph/passes/lower.js";
import { raiseOpset } from "../graph/passes/raise-opset.js";

/**
 * Constant branches show their nodes, and projections that onnxruntime fused with their activation stand before it; adapters and
 * losses are written as operators are since opset 13.
 */
export function modern(model: Model): Model {
  const shown = inlineConstantIf(model);
  const plain = lower(shown, ({ op, domain }) => op === "FusedGemm" && domain === "com.microsoft").model;
  return (plain.opsets.get("") ?? 13) < 13 ? raiseOpset(plain) : plain;
}
