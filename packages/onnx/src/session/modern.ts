import type { Model } from "../graph/ir.js";
import { inlineConstantIf } from "../graph/passes/inline-if.js";
import { raiseOpset } from "../graph/passes/raise-opset.js";

/** Constant branches show their nodes; adapters and losses are written as operators are since opset 13. */
export function modern(model: Model): Model {
  const plain = inlineConstantIf(model);
  return (plain.opsets.get("") ?? 13) < 13 ? raiseOpset(plain) : plain;
}
