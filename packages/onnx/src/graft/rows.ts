import { multiplyDims } from "../graph/dim.js";
import type { Dim, Node, TensorType } from "../graph/ir.js";

/** How the rows of a batch lie in a value: one after another, or (`axis` 1, as in [sequence, batch, …]) each a part of every position. */
export interface Rows {
  readonly batch: Dim;
  readonly axis: 0 | 1;
}

interface Values {
  typeOf(value: string): TensorType | undefined;
  readonly producers: ReadonlyMap<string, Node>;
  /** The symbols that a batch has. */
  readonly batches: readonly Dim[];
}

/** Operators that may put what is along the first axis into another order, and keep its size. */
const MOVERS = /^(Transpose|Gather|Scatter|TopK|ReverseSequence)/;

/**
 * Where the rows of the batch are in a value, told by a dimension that is the batch alone. A first dimension that only counts
 * with it, as [batch * sequence, width], does not say in which order: the value before it was flattened does.
 *
 * @returns undefined if rows are not kept apart, or nobody can tell
 */
export function rowsIn(value: string, { typeOf, producers, batches }: Values): Rows | undefined {
  const first = typeOf(value)?.shape?.[0];
  for (let at: string | undefined = value, steps = 0; at !== undefined && steps < 64; steps++) {
    const shape: readonly Dim[] = typeOf(at)?.shape ?? [];
    const axis = shape.findIndex((dim) => batches.includes(dim));
    if (axis === 0) return { batch: shape[0]!, axis };
    if (axis === 1) {
      const isWhole = first === shape[0] || first === multiplyDims(shape[0]!, shape[1]!);
      return isWhole ? { batch: shape[1]!, axis } : undefined;
    }
    if (axis > 1 || !countsWith(shape[0], batches)) return undefined;
    at = sourceOf(producers.get(at), shape[0]!, typeOf);
  }
  return undefined;
}

/** Whether a size is a multiple of a batch's. */
function countsWith(size: Dim | undefined, batches: readonly Dim[]): boolean {
  const words = String(size ?? "").split(/[^\w[\]]+/);
  return batches.some((batch) => words.includes(String(batch)));
}

/** The value that has the same rows before a node: what it takes another shape of, or works on position by position. */
function sourceOf(node: Node | undefined, first: Dim, typeOf: Values["typeOf"]): string | undefined {
  if (node === undefined || MOVERS.test(node.op)) return undefined;
  if (/^(Reshape|Flatten|Squeeze|Unsqueeze)$/.test(node.op)) return node.inputs[0];
  return node.inputs.find((input) => typeOf(input)?.shape?.[0] === first);
}
