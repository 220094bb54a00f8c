import { backward, type NoGradient } from "../autodiff/backward.js";
import { OnnxError } from "../base/errors.js";
import { batchOf, graft } from "../graft/graft.js";
import type { Module } from "../graft/modules.js";
import { ANY_ROWS, type Derived, type TypeOf } from "../graft/served.js";
import { GraphBuilder } from "../graph/builder.js";
import { symbol } from "../graph/dim.js";
import type { Dim, Graph, Model, ValueInfo } from "../graph/ir.js";
import { simplify } from "../graph/passes/simplify.js";
import { add, prune, valueNames } from "../graph/verbs.js";
import type { Loss } from "../loss/loss.js";

export interface Training extends Derived {
  /** Name of the output with the loss, a scalar. */
  readonly loss: string;
  /** Inputs of the loss by the names that it gave them. */
  readonly lossInputs: ReadonlyMap<string, string>;
  /** Output with the gradient of an input A or B. */
  readonly gradients: ReadonlyMap<string, string>;
  /** The inputs A and B that the loss has no gradient for, and why. */
  readonly missing: ReadonlyMap<string, NoGradient>;
}

/** One adapter for all rows of a batch, or one for each. */
export type RowMode = "shared" | "each";

/**
 * The model with adapters, a loss and the gradients of it.
 * @throws OnnxError `unknown-value` for an output that the model does not have, `unsupported-operator` if nothing can learn
 */
export function deriveTraining(
  model: Model,
  modules: readonly Module[],
  loss: Loss,
  mode: RowMode,
  typeOf: TypeOf,
): Training {
  const { model: grafted, ports } = graft(model, modules, { rows: rowsOf(model.graph, mode), typeOf });
  const { model: scored, value, inputs } = addLoss(grafted, loss, typeOf);
  const wrt = ports.flatMap(({ loraA, loraB }) => [loraA, loraB]);
  const { model: derived, gradients, missing } = backward(simplify(scored), { seeds: { loss: value }, wrt });
  if (gradients.size === 0)
    refuseCutOff(
      missing,
      modules.map(({ name }) => name),
    );
  return { model: derived, ports, loss: value, lossInputs: inputs, gradients, missing };
}

function rowsOf(graph: Graph, mode: RowMode): Dim | undefined {
  return mode === "shared" ? undefined : (batchOf(graph) ?? ANY_ROWS);
}

/** The model with the loss as its only output, and without what the loss does not need. */
function addLoss(
  model: Model,
  loss: Loss,
  typeOf: TypeOf,
): { readonly model: Model; readonly value: string; readonly inputs: ReadonlyMap<string, string> } {
  const { graph } = model;
  const names = valueNames(graph);
  const builder = new GraphBuilder("loss.", (name) => names.has(name));
  const inputs = new Map<string, string>();
  const infos: ValueInfo[] = [];
  const batch = batchOf(graph);
  const value = loss.build({
    builder,
    dimsOf(name, rank) {
      const { shape } = typeOf(name) ?? graph.outputs.find((each) => each.name === name)?.type ?? {};
      return shape?.length === rank
        ? shape
        : Array.from({ length: rank }, (_, axis) => (axis === 0 ? (batch ?? "rows") : symbol(`${name}:${axis}`)));
    },
    input(name, dtype, shape) {
      const fresh = builder.fresh(name);
      inputs.set(name, fresh);
      infos.push({ name: fresh, type: { dtype, shape } });
      return fresh;
    },
    output(name) {
      const output = graph.outputs.find((each) => each.name === name);
      if (output === undefined) refuseOutput(name, graph);
      const dtype = typeOf(name)?.dtype ?? output.type?.dtype ?? "float32";
      return dtype === "float32" ? name : builder.op("Cast", [name], { to: 1 });
    },
  });
  const scored = add({ ...graph, inputs: [...graph.inputs, ...infos] }, builder);
  const outputs = [{ name: value, type: { dtype: "float32" as const, shape: [] } }];
  return { model: { ...model, graph: prune({ ...scored, outputs }) }, value, inputs };
}

function refuseOutput(name: string, graph: Graph): never {
  const outputs = graph.outputs.map((output) => output.name).join(", ");
  throw new OnnxError("unknown-value", name, "is no output of this model", `Name one of ${outputs}`);
}

/** @throws OnnxError `unsupported-operator`, or `unknown-value` where the loss does not depend on any of the modules */
export function refuseCutOff(missing: ReadonlyMap<string, NoGradient>, modules: readonly string[]): never {
  const cut = [...missing.values()].find((each) => each.reason === "cut-off");
  if (cut?.reason !== "cut-off") {
    throw new OnnxError(
      "unknown-value",
      "loss",
      "does not depend on any adapter",
      "Choose targets that lead to the outputs of the loss",
    );
  }
  const operator = cut.domain === "" ? cut.op : `${cut.domain}:${cut.op}`;
  throw new OnnxError(
    "unsupported-operator",
    cut.node,
    `${operator} cuts off ${modules.slice(0, 8).join(", ")}${modules.length > 8 ? ", …" : ""} from the loss: ${cut.problem}`,
    "Choose targets nearer to the output",
  );
}
