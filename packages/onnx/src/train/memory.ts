import { byteLength } from "../graph/dtype.js";
import type { Dim, Graph, TensorType } from "../graph/ir.js";
import { sizeAt } from "../graph/sizes.js";

/** From the node that makes it to the last one that takes it, a value takes this much. */
export interface Span {
  readonly type: TensorType;
  readonly first: number;
  readonly last: number;
}

/** Bytes that the values of a graph take in a run, weights aside. */
export interface Usage {
  /** At the worst moment, if nodes run in their order and each value is freed after its last use. */
  readonly peak: number;
  /** Of what a node makes, on average. */
  readonly mean: number;
}

/** What a run will take, by the sizes of its feeds. What inference does not know counts nothing. */
export class MemoryEstimate {
  readonly #steps: number;
  readonly #spans: readonly Span[];

  /** @param steps number of nodes */
  constructor({ steps, spans }: { readonly steps: number; readonly spans: readonly Span[] }) {
    this.#steps = steps;
    this.#spans = spans;
  }

  /** @param symbols sizes of the graph's symbols */
  usageAt(symbols: ReadonlyMap<string, number>): Usage {
    const change = new Float64Array(this.#steps + 1);
    const sizes = new Map<Dim, number>();
    let total = 0;
    for (const { type, first, last } of this.#spans) {
      let elements = 1;
      for (const dim of type.shape ?? [0]) {
        const size = sizes.get(dim) ?? sizeAt(dim, symbols) ?? 0;
        sizes.set(dim, size);
        elements *= Math.max(0, size);
      }
      const bytes = byteLength(type.dtype, elements) ?? 0;
      change[first]! += bytes;
      change[last + 1]! -= bytes;
      total += bytes;
    }
    let [now, peak] = [0, 0];
    for (const bytes of change) {
      now += bytes;
      peak = Math.max(peak, now);
    }
    return { peak, mean: total / Math.max(1, this.#steps) };
  }
}

/** How long each value of a graph lives. */
export function spansOf({ nodes, outputs, types }: Graph): readonly Span[] {
  const first = new Map<string, number>();
  const last = new Map<string, number>();
  for (const [step, node] of nodes.entries()) {
    for (const output of node.outputs) first.set(output, step);
    for (const input of node.inputs) last.set(input, step);
  }
  for (const { name } of outputs) last.set(name, nodes.length - 1);
  return [...first].flatMap(([value, from]) => {
    const type = types.get(value);
    return type === undefined ? [] : [{ type, first: from, last: last.get(value) ?? from }];
  });
}
