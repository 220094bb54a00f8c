import type { TypedBranch } from "../graft/branches.js";
import { batchOf, type Port } from "../graft/graft.js";
import type { Module } from "../graft/modules.js";
import type { TypeOf } from "../graft/served.js";
import type { Dim } from "../graph/ir.js";
import type { ModelFiles } from "../run/files.js";
import type { Trainer } from "../train/trainer.js";
import type { OpenOptions } from "./options.js";

/** A branch with its adapters. */
export interface AdaptedBranch extends TypedBranch {
  readonly ports: readonly Port[];
  readonly batch: Dim | undefined;
  readonly typeOf: TypeOf;
  /** What computes gradients, loaded when first asked for: programs that only run adapters do without it. */
  trainer(): Promise<Trainer>;
  closeTrainer(): Promise<void>;
}

/** @param served tells the served graph from others */
export function adaptBranch(
  branch: TypedBranch,
  ports: readonly Port[],
  modules: readonly Module[],
  given: ModelFiles,
  options: OpenOptions,
  served: string,
): AdaptedBranch {
  const { when, model, types } = branch;
  const files = { ...given, model };
  const batch = batchOf(model.graph);
  const typeOf: TypeOf = (value) => types.get(value);
  const { ort, sessionOptions = {}, memoryLimit, cache } = options;
  const parts = {
    ...{ files, modules, typeOf, ports, batch, ort, sessionOptions, cache },
    served: when === undefined ? served : `${served} ${when}`,
    memoryLimit: () => memoryLimit ?? files.freeMemory(),
  };
  let trainer: Promise<Trainer> | undefined;
  return {
    ...branch,
    ...{ ports, batch, typeOf },
    trainer() {
      trainer ??= import("../train/trainer.js").then((module) => new module.Trainer(parts));
      return trainer;
    },
    async closeTrainer() {
      await (await trainer)?.[Symbol.asyncDispose]();
    },
  };
}
