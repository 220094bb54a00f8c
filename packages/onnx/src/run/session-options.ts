import type { Graph, Node, Tensor } from "../graph/ir.js";
import { isNarrow } from "../graph/passes/upcast.js";
import type { OrtSessionOptions } from "./ort.js";

/** More elements than any shape, axis or scale of a tensor has. */
const MANY = 4096;

/** Operators for which onnxruntime's last level of optimisation has another layout. */
const LAID_OUT = /Conv|Pool/;

/**
 * Options for the graph that serves: without onnxruntime's last level where that does nothing, since it goes through the whole graph
 * several times for it, a fifth of a second for 7,000 nodes. It lays convolutions out anew, and where a CPU computes 16-bit
 * models in float32 it casts the weights once, and not in every run.
 */
export function servingOptions(graphs: readonly Graph[], given: OrtSessionOptions): OrtSessionOptions {
  const isNeeded = graphs.some((graph) => graph.nodes.some(({ op }) => LAID_OUT.test(op)) || isNarrow(graph));
  return isNeeded ? given : { graphOptimizationLevel: "extended", ...given };
}

/**
 * Options for a graph of gradients: none are laid out anew, and constants are not folded where that would do nothing but store
 * each weight transposed, since products take them transposed as they are. It saves a second and a copy of the weights for
 * a model of 500 MB. Weights in blocks are dequantised once, which onnxruntime does only where it may not fuse quantised operators: a step
 * through SmolLM2-135M takes a fifth of the time, and float32 weights of memory.
 *
 * @param isNeeded what `isFoldingNeeded` says of the graph
 * @param given the caller's, which may ask for fewer optimisations than that needs
 */
export function gradientOptions(isNeeded: boolean, given: OrtSessionOptions): OrtSessionOptions {
  const { graphOptimizationLevel: level = "extended" } = given;
  const isFolded = isNeeded || level === "disabled" || level === "basic";
  const extra = isFolded
    ? { session: { disable_quant_qdq: "1" } }
    : { optimization: { disable_specified_optimizers: "ConstantFolding" } };
  return { graphOptimizationLevel: level, extra };
}

/** Whether weights are cast, dequantised or the like, which would be done anew in each run. */
export function isFoldingNeeded({ nodes, initializers }: Graph): boolean {
  const taken = new Map<string, string[]>();
  for (const { op, inputs } of nodes) for (const input of inputs) taken.set(input, [...(taken.get(input) ?? []), op]);
  const isIdle = ({ op, outputs }: Node) =>
    op === "Transpose" && taken.get(outputs[0]!)?.every((by) => by === "MatMul" || by === "Transpose") === true;
  return nodes.some((node) => {
    const tensors = node.inputs.filter(Boolean).map((input) => initializers.get(input));
    return (
      tensors.length > 0 && tensors.every((tensor) => tensor !== undefined) && tensors.some(isLarge) && !isIdle(node)
    );
  });
}

function isLarge(tensor: Tensor | undefined): boolean {
  return (tensor?.dims.reduce((product, dim) => product * dim, 1) ?? 0) > MANY;
}
