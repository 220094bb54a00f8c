import type { Model } from "../graph/ir.js";
import { inlineFunctions } from "../graph/passes/inline-functions.js";
import { inlineConstantIf } from "../graph/passes/inline-if.js";
import { raiseOpset } from "../graph/passes/raise-opset.js";

/** Functions and constant branches show their nodes; adapters and losses are written as operators are since opset 13. */
export function modern(model: Model): Model {
  const plain = inlineConstantIf(inlineFunctions(model));
  return (plain.opsets.get("") ?? 13) < 13 ? raiseOpset(plain) : plain;
}
