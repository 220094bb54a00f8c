import { inferTypes } from "../graph/infer/infer.js";
import type { Model, TensorType } from "../graph/ir.js";
import { type Branch, branchesOf } from "../graph/passes/branches.js";
import { nameCacheSizes } from "../graph/passes/cache-sizes.js";
import { inlineFunctions } from "../graph/passes/inline-functions.js";
import { shapesOfOne } from "../graph/sizes.js";
import { findModules, type Modules, uniteModules } from "./modules.js";
import { normalize } from "./normalize.js";

/** A branch of a model, and what inference knows of its values. */
export interface TypedBranch extends Branch {
  readonly types: ReadonlyMap<string, TensorType>;
}

/** What there is to adapt in a model. */
export interface SplitModel {
  /** The model without functions. */
  readonly whole: Model;
  /** One for most models; the first one has all modules. */
  readonly branches: readonly TypedBranch[];
  /** A weight that several branches take is one module, with sites in each. */
  readonly found: Modules;
}

/** Takes a model apart: its branches in the operators that adapters and losses are written for, and the modules of them all. */
export function splitBranches(model: Model): SplitModel {
  const whole = nameCacheSizes(inlineFunctions(model));
  const branches = branchesOf(whole).map(({ when, model: branch }): TypedBranch => {
    const flat = normalize(branch);
    const { types } = inferTypes(flat).graph;
    return { when, model: withTrueRanks(flat, types), types };
  });
  const found = branches.map(({ model: { graph }, types }) => findModules(graph, shapesOfOne(types)));
  return { whole, branches, found: uniteModules(found) };
}

/**
 * Outputs whose declared number of axes is not the one that their nodes give, as quantisers and exporters leave them, say what the nodes give:
 * onnxruntime refuses the contradiction as soon as it can infer a shape itself.
 */
function withTrueRanks(model: Model, types: ReadonlyMap<string, TensorType>): Model {
  const outputs = model.graph.outputs.map((output) => {
    const [told, given] = [output.type?.shape, types.get(output.name)];
    return told === undefined || given?.shape === undefined || told.length === given.shape.length
      ? output
      : { ...output, type: given };
  });
  return { ...model, graph: { ...model.graph, outputs } };
}
