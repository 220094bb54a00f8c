import { findModules, type Modules, uniteModules } from "../graft/modules.js";
import { inferTypes } from "../graph/infer/infer.js";
import type { Model, TensorType } from "../graph/ir.js";
import { type Branch, branchesOf } from "../graph/passes/branches.js";
import { inlineFunctions } from "../graph/passes/inline-functions.js";
import { shapesOfOne } from "./memory.js";
import { modern } from "./modern.js";

/** A branch of a model, and what inference knows of its values. */
export interface TypedBranch extends Branch {
  readonly types: ReadonlyMap<string, TensorType>;
}

/** What there is to adapt in a model. */
export interface Anatomy {
  /** The model without functions. */
  readonly whole: Model;
  /** One for most models; the first one has all modules. */
  readonly branches: readonly TypedBranch[];
  /** A weight that several branches take is one module, with sites in each. */
  readonly found: Modules;
}

/** Takes a model apart: its branches in the operators that adapters and losses are written for, and the modules of them all. */
export function anatomyOf(model: Model): Anatomy {
  const whole = inlineFunctions(model);
  const branches = branchesOf(whole).map(({ when, model: branch }): TypedBranch => {
    const flat = modern(branch);
    return { when, model: flat, types: inferTypes(flat).graph.types };
  });
  const found = branches.map(({ model: { graph }, types }) => findModules(graph, shapesOfOne(types)));
  return { whole, branches, found: uniteModules(found) };
}
