import type { Graph, Node, Tensor } from "../graph/ir.js";
import type { OrtSessionOptions } from "./ort.js";

/** More elements than any shape, axis or scale of a tensor has. */
const MANY = 4096;

/**
 * Options for a graph of gradients: constants are not folded where that would do nothing but store each weight transposed,
 * since products take them transposed as they are. It saves a second and a copy of the weights for a model of 500 MB.
 *
 * @param isNeeded what `isFoldingNeeded` says of the graph
 * @param given the caller's, which may ask for fewer optimisations than that needs
 */
export function foldingOptions(isNeeded: boolean, given: OrtSessionOptions): OrtSessionOptions {
  const { graphOptimizationLevel: level = "all" } = given;
  if (level === "disabled" || level === "basic" || isNeeded) return {};
  return { extra: { optimization: { disable_specified_optimizers: "ConstantFolding" } } };
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
