import { intOf } from "../attributes.js";
import { divideExactly } from "../dim.js";
import { inferTypes } from "../infer/infer.js";
import type { Dim, Model, Node, TensorType } from "../ir.js";

/**
 * The model with the widths of its caches of keys and values as numbers, where the file calls them by a symbol (`kv_cache_dim` of
 * onnxruntime-genai) and the attention that takes them knows better: only the length of a cache is free.
 */
export function nameCacheSizes(model: Model): Model {
  const { graph } = model;
  const inputs = new Map(graph.inputs.map(({ name, type }) => [name, type]));
  const attentions = graph.nodes.filter(
    ({ op, inputs: taken }) => op === "GroupQueryAttention" && isOpen(inputs.get(taken[3] ?? "")),
  );
  if (attentions.length === 0) return model;
  const { types } = inferTypes(model).graph;
  const sizes = new Map<Dim, number>();
  for (const node of attentions) {
    const size = headSize(node, types.get(node.inputs[0]!));
    const symbol = inputs.get(node.inputs[3]!)!.shape!.at(-1)!;
    if (typeof size === "number") sizes.set(symbol, size);
  }
  if (sizes.size === 0) return model;
  const known = <T extends TensorType | undefined>(type: T): T =>
    type && { ...type, shape: type.shape?.map((dim) => sizes.get(dim) ?? dim) };
  return {
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map((input) => ({ ...input, type: known(input.type) })),
      outputs: graph.outputs.map((output) => ({ ...output, type: known(output.type) })),
      types: new Map([...graph.types].map(([name, type]) => [name, known(type)])),
    },
  };
}

function isOpen(type: TensorType | undefined): boolean {
  return type?.shape?.length === 4 && typeof type.shape[3] === "string";
}

/** Of one head: the width of Q over its heads, or of all three packed. */
function headSize({ attributes, inputs }: Node, query: TensorType | undefined): Dim | undefined {
  const width = query?.shape?.at(-1);
  const heads = intOf(attributes, "num_heads", 1);
  const all = inputs[1] ? heads : heads + 2 * intOf(attributes, "kv_num_heads", heads);
  return width === undefined ? undefined : divideExactly(width, all);
}
