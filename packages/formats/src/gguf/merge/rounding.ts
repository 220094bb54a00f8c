import type { BlockType } from "./blocks.js";

/** Sums of squares over the weights of one pair of types. */
interface Sums {
  readonly tensors: Set<string>;
  weights: number;
  added: number;
  errors: number;
}

/** What rounding quantised weights again costs, beside the weights and beside what the adapter adds. */
export class Rounding {
  readonly #sums = new Map<string, Sums>();

  /** @param before the weights as they were, @param wanted with the adapter, @param written as they can be read again */
  add(from: BlockType, to: BlockType, before: Float64Array, wanted: Float64Array, written: Float64Array): void {
    const sums = this.#sumsOf(from, to);
    for (let i = 0; i < before.length; i++) {
      sums.weights += wanted[i]! ** 2;
      sums.added += (wanted[i]! - before[i]!) ** 2;
      sums.errors += (written[i]! - wanted[i]!) ** 2;
    }
  }

  countTensor(from: BlockType, to: BlockType, name: string): void {
    this.#sumsOf(from, to).tensors.add(name);
  }

  warnings(): readonly string[] {
    return [...this.#sums].map(([types, { tensors, weights, added, errors }]) => {
      const count = `${tensors.size} ${tensors.size === 1 ? "tensor" : "tensors"}`;
      const ofWeights = percent(Math.sqrt(errors / weights));
      const ofAdded = percent(Math.sqrt(errors / added));
      return `${count} of ${types}: rounding moves weights by ${ofWeights} (root mean square), which is ${ofAdded} of what the adapter adds`;
    });
  }

  #sumsOf(from: BlockType, to: BlockType): Sums {
    const types = from === to ? from.name : `${from.name}, written as ${to.name}`;
    const sums = this.#sums.get(types) ?? { tensors: new Set<string>(), weights: 0, added: 0, errors: 0 };
    this.#sums.set(types, sums);
    return sums;
  }
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${Number((100 * share).toPrecision(2))} %` : "all";
}
