import { ChatError } from "../base/errors.js";
import { KeyRows } from "./key-rows.js";

/** Which vectors every fact has, and how wide they are. */
export type Channels = Readonly<Record<string, number>>;

/** What was told, as it is kept. */
export interface Fact {
  /** What tells it from every other fact of its user, never used again. */
  readonly id: number;
  /** The user's question; of a plain statement, the statement. */
  readonly question: string;
  /** The answer that was told. */
  readonly answer: string;
  /** Whether it was told as a statement. */
  readonly isStatement: boolean;
  /** Tokens of the answer with the one that ends it. */
  readonly tokens: Uint32Array;
  /** Log-probability of each token when it was told, before it was kept. */
  readonly scores: Float32Array;
}

export type NewFact = Omit<Fact, "id">;

/** Vectors by channel. */
export type Keys = Readonly<Record<string, Float32Array>>;

/** The facts of one user: rows of keys in 8 bits beside what they stand for. */
export class FactMemory {
  readonly channels: Channels;
  readonly #rows: ReadonlyMap<string, KeyRows>;
  readonly #facts: Fact[] = [];
  #next: number;

  constructor(channels: Channels, next = 1) {
    this.channels = channels;
    this.#rows = new Map(Object.entries(channels).map(([name, width]) => [name, new KeyRows(width)]));
    this.#next = next;
  }

  get size(): number {
    return this.#facts.length;
  }

  /** The id that the next fact gets. */
  get next(): number {
    return this.#next;
  }

  /** In no order that means anything: forgetting moves the last one. */
  get facts(): readonly Fact[] {
    return this.#facts;
  }

  /** Keeps a fact. @throws ChatError `invalid-option` for keys of another width */
  add(fact: NewFact, keys: Keys, id = this.#next): Fact {
    for (const [name, rows] of this.#rows) {
      if (keys[name]?.length === rows.width) continue;
      const problem = `has ${keys[name]?.length ?? 0} numbers, not ${rows.width}`;
      throw new ChatError("invalid-option", `keys.${name}`, problem, "Use the embedder that the memory was made with");
    }
    for (const [name, rows] of this.#rows) rows.push(keys[name]!);
    const kept = { ...fact, id };
    this.#facts.push(kept);
    this.#next = Math.max(this.#next, id + 1);
    return kept;
  }

  has(id: number): boolean {
    return this.#facts.some((fact) => fact.id === id);
  }

  /** Forgets a fact; nothing of it stays. @returns whether it was there */
  remove(id: number): boolean {
    const row = this.#facts.findIndex((fact) => fact.id === id);
    if (row < 0) return false;
    for (const rows of this.#rows.values()) rows.remove(row);
    const last = this.#facts.pop()!;
    if (row < this.#facts.length) this.#facts[row] = last;
    return true;
  }

  /** Cosines of a query with every fact, in the order of `facts`. @param query of unit length */
  cosines(channel: string, query: Float32Array): Float32Array {
    return this.#rows.get(channel)!.cosines(query, new Float32Array(this.size));
  }

  /** Codes of a fact's key. @param index in `facts` */
  codesOf(channel: string, index: number): Int8Array {
    return this.#rows.get(channel)!.codesOf(index);
  }
}
