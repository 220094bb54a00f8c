import type { Model } from "../ir.js";
import { prune } from "../verbs.js";
import { inlineFunctions } from "./inline-functions.js";
import { inlineConstantIf } from "./inline-if.js";
import { removeIdle } from "./remove-idle.js";
import { simplifyShapes } from "./shape-chains.js";
import { shareEqual } from "./share.js";

/**
 * The same model in fewer nodes, with types: functions and constant branches inlined, shapes computed once from the sizes of
 * the inputs, equal nodes shared, idle and dead ones left out. Floating-point operators stay as they are, bit for bit.
 *
 * @throws OnnxError `invalid-graph` for functions that call themselves
 */
export function simplify(model: Model): Model {
  const passes = [
    inlineFunctions,
    inlineConstantIf,
    shareEqual,
    simplifyShapes,
    pruned,
    removeIdle,
    shareEqual,
    pruned,
  ];
  return passes.reduce((each, pass) => pass(each), model);
}

function pruned(model: Model): Model {
  return { ...model, graph: prune(model.graph) };
}
