import type { MicroLora } from "microlora";
import type { ModuleGradient } from "../run/adapters.js";

type Block = "loraA" | "loraB";

/** Sums of gradients, and the squares of single examples' gradients beside them. */
export class GradientSums {
  readonly #sums = new Map<MicroLora, Map<string, Record<Block, Float32Array>>>();
  readonly #squares = new Map<MicroLora, Map<string, Record<Block, Float32Array>>>();
  readonly #examples = new Map<MicroLora, number>();

  /** Adds the gradients of some rows. */
  add(part: ReadonlyMap<MicroLora, ReadonlyMap<string, ModuleGradient>>): void {
    for (const [adapter, gradients] of part) {
      for (const [module, gradient] of gradients) {
        const sum = blocksOf(this.#sums, adapter, module, gradient);
        for (const block of BLOCKS) addTo(sum[block], gradient[block]);
      }
    }
  }

  /** Adds the gradients of one example, whose loss has a share in the whole. */
  addExample(part: ReadonlyMap<MicroLora, ReadonlyMap<string, ModuleGradient>>, share: number): void {
    this.add(part);
    if (share === 0) return;
    for (const [adapter, gradients] of part) {
      this.#examples.set(adapter, (this.#examples.get(adapter) ?? 0) + 1);
      for (const [module, gradient] of gradients) {
        const squares = blocksOf(this.#squares, adapter, module, gradient);
        for (const block of BLOCKS) addSquares(squares[block], gradient[block], 1 / share);
      }
    }
  }

  /** What was added: sums, and means of the examples' squares where there were examples. */
  finish(): ReadonlyMap<MicroLora, ReadonlyMap<string, ModuleGradient>> {
    return new Map(
      [...this.#sums].map(([adapter, modules]) => [
        adapter,
        new Map([...modules].map(([module, sum]) => [module, this.#withSquares(adapter, module, sum)])),
      ]),
    );
  }

  #withSquares(adapter: MicroLora, module: string, sum: Record<Block, Float32Array>): ModuleGradient {
    const squares = this.#squares.get(adapter)?.get(module);
    if (squares === undefined) return sum;
    const count = this.#examples.get(adapter)!;
    const meanOf = (block: Block) => squares[block].map((value) => value / count);
    return { ...sum, squares: { loraA: meanOf("loraA"), loraB: meanOf("loraB") } };
  }
}

const BLOCKS: readonly Block[] = ["loraA", "loraB"];

function blocksOf(
  all: Map<MicroLora, Map<string, Record<Block, Float32Array>>>,
  adapter: MicroLora,
  module: string,
  { loraA, loraB }: ModuleGradient,
): Record<Block, Float32Array> {
  const modules = all.get(adapter) ?? new Map<string, Record<Block, Float32Array>>();
  all.set(adapter, modules);
  const blocks = modules.get(module) ?? {
    loraA: new Float32Array(loraA.length),
    loraB: new Float32Array(loraB.length),
  };
  modules.set(module, blocks);
  return blocks;
}

function addTo(sum: Float32Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}

function addSquares(sum: Float32Array, values: Float32Array, scale: number): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += (scale * values[i]!) ** 2;
}
