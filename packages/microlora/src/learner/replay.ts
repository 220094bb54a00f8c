import { checkRange } from "../base/check.js";
import { randomUniform } from "../base/random.js";
import type { Example } from "./example.js";

/** How earlier examples are mixed into updates. */
export interface ReplayConfig {
  /** Bytes of examples that are kept at most. */
  readonly bytes: number;
  /** Examples that are learned from again beside each new one; 1 by default. */
  readonly perUpdate: number;
}

export interface ReplayState<Kept = Example> {
  readonly seen: number;
  readonly draws: number;
  readonly examples: readonly Kept[];
}

/** How one kind of example is kept. */
export interface Keeping<Kept> {
  /** A copy that shares nothing with the caller. */
  copyOf(example: Kept): Kept;
  bytesOf(example: Kept): number;
}

/** Random stream of the reservoir. */
const STREAM = 0x5e5e_0001;

/**
 * A sample of everything that was learned from, each example as likely as any other (reservoir sampling, Vitter 1985, algorithm
 * R), bounded in bytes: once they are used up, a new example takes the place of a random one, or none.
 */
export class Replay<Kept = Example> {
  readonly config: ReplayConfig;
  readonly #keeping: Keeping<Kept>;
  readonly #seed: number;
  #examples: Kept[] = [];
  #bytes = 0;
  #seen = 0;
  #draws = 0;

  constructor(config: ReplayConfig, seed: number, keeping: Keeping<Kept>) {
    checkRange(config.bytes, 0, 2 ** 32, "replay.bytes");
    checkRange(config.perUpdate, 0, 64, "replay.perUpdate");
    this.config = config;
    this.#seed = seed;
    this.#keeping = keeping;
  }

  get count(): number {
    return this.#examples.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Offers an example, which is copied if it is kept. */
  offer(example: Kept): void {
    this.#seen++;
    const size = this.#keeping.bytesOf(example);
    if (size > this.config.bytes) return;
    if (this.#bytes + size <= this.config.bytes) {
      this.#examples.push(this.#keeping.copyOf(example));
      this.#bytes += size;
      return;
    }
    const at = Math.floor(this.#random() * this.#seen);
    const replaced = this.#examples[at];
    if (replaced === undefined || this.#bytes - this.#keeping.bytesOf(replaced) + size > this.config.bytes) return;
    this.#bytes += size - this.#keeping.bytesOf(replaced);
    this.#examples[at] = this.#keeping.copyOf(example);
  }

  /** A random example; undefined if there is none. */
  draw(): Kept | undefined {
    return this.#examples[Math.floor(this.#random() * this.#examples.length)];
  }

  exportState(): ReplayState<Kept> {
    return { seen: this.#seen, draws: this.#draws, examples: [...this.#examples] };
  }

  restore({ seen, draws, examples }: ReplayState<Kept>): void {
    this.#seen = seen;
    this.#draws = draws;
    this.#examples = examples.map((example) => this.#keeping.copyOf(example));
    this.#bytes = examples.reduce((sum, example) => sum + this.#keeping.bytesOf(example), 0);
  }

  #random(): number {
    return randomUniform(this.#seed, STREAM, this.#draws++);
  }
}
