import type { Model } from "../graph/ir.js";
import { inlineFunctions } from "../graph/passes/inline-functions.js";
import { inlineConstantIf } from "../graph/passes/inline-if.js";
import { raiseOpset } from "../graph/passes/raise-opset.js";
import { simplify } from "../graph/passes/simplify.js";

/**
 * The model as modules are found in it, and adapters and losses put into it: opset 13 or later, simplified, with types.
 * Simplified before anything is derived, since fewer nodes make every later step quicker, onnxruntime's sessions above all.
 *
 * @throws OnnxError `invalid-graph`
 */
export function modern(model: Model): Model {
  const plain = inlineConstantIf(inlineFunctions(model));
  return simplify((plain.opsets.get("") ?? 13) < 13 ? raiseOpset(plain) : plain);
}
