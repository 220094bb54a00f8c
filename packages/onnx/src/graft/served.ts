import type { Graph, Model, TensorType } from "../graph/ir.js";
import { graft, type Port } from "./graft.js";
import { linksOf } from "./links.js";
import type { Module } from "./modules.js";

/** A graph made from a model, and how to feed it. */
export interface Derived {
  readonly model: Model;
  readonly ports: readonly Port[];
}

export type TypeOf = (value: string) => TensorType | undefined;

/** Rows of A and B in the graph that serves: 1 or those of the batch, which only the run knows. */
export const ANY_ROWS = "lora_rows";

/**
 * The model with adapters, to run. It says of its values what inference knows of them, since onnxruntime takes much longer to
 * load a graph that does not; but only what the file says where onnxruntime would fuse more for knowing more, so that the
 * zero adapter gives the same bits.
 */
export function deriveInference(model: Model, modules: readonly Module[], types: Graph["types"]): Derived {
  const { graph } = model;
  const typed = isFusedByShape(graph) ? model : { ...model, graph: { ...graph, types } };
  return graft(typed, modules, { rows: ANY_ROWS, typeOf: (value) => types.get(value) });
}

/** Whether onnxruntime fuses more if it knows shapes: biases with products before them, sums with normalisations behind. */
function isFusedByShape(graph: Graph): boolean {
  const { constant } = linksOf(graph);
  const isVector = (input: string) => (constant(input)?.dims.at(-1) ?? 1) > 1;
  return graph.nodes.some(({ op, inputs }) => op === "LayerNormalization" || (op === "Add" && inputs.some(isVector)));
}
