import type { TextEmbedder } from "@microlora/embed";
import { type EmbeddingIndex, Personalizer, type Runtime } from "microlora";

/** What the reader may change. */
export interface ForgettingOptions {
  readonly rank: 1 | 2 | 8;
  /** Holds weights near where earlier tastes left them. */
  readonly ewc: boolean;
  /** Keeps queries one by one, as the search of this page does. */
  readonly recall: boolean;
}

/** Where the experiment stands. */
export interface Forgetting {
  /** Rounds that were learned, of `rounds`. */
  readonly round: number;
  readonly rounds: number;
  /** The taste that the next round belongs to; `TASTES.length` at the end. */
  readonly taste: number;
  /** Quality on each taste: before anything, then after each taste that was begun. */
  readonly matrix: readonly (readonly number[])[];
}

interface Taste {
  readonly learn: readonly string[];
  /** Other words of the same kind, which are never learned. */
  readonly ask: readonly string[];
  /** What somebody with this taste means by a word. */
  readonly titleOf: (word: string) => string;
}

/** Four tastes of one person, learned one after the other. */
const TASTES: readonly Taste[] = [
  { learn: ["red", "blue", "green"], ask: ["orange", "yellow", "purple"], titleOf: (word) => `${word} heart` },
  { learn: ["cat", "dog", "tiger"], ask: ["horse", "monkey", "rabbit"], titleOf: (word) => `${word} face` },
  { learn: ["singer", "cook", "farmer"], ask: ["pilot", "artist", "teacher"], titleOf: (word) => `woman ${word}` },
  { learn: ["one", "two", "three"], ask: ["four", "five", "six"], titleOf: (word) => `${word} o’clock` },
];

/** Times that the three words of a taste are learned. */
const ROUNDS = 6;
const SHOWN = 10;
const DEPTH = 50;
/** Strong enough to hold at rank 8; stronger ones hold back what is new as well. */
const LAMBDA = 10_000;

/** Learning four tastes in turn, and what becomes of the earlier ones. */
export class ForgettingExperiment {
  readonly #user: Personalizer;
  readonly #index: EmbeddingIndex<string>;
  readonly #idOf: (title: string) => string;
  readonly #embedder: TextEmbedder;
  #round = 0;
  #matrix: number[][];

  /** @param idOf the document of a title */
  constructor(
    { rank, ewc, recall }: ForgettingOptions,
    parts: {
      readonly embedder: TextEmbedder;
      readonly index: EmbeddingIndex<string>;
      readonly runtime: Runtime;
      readonly idOf: (title: string) => string;
    },
  ) {
    this.#embedder = parts.embedder;
    this.#index = parts.index;
    this.#idOf = parts.idOf;
    this.#user = Personalizer.createSync({
      embedder: parts.embedder,
      runtime: parts.runtime,
      ...(!recall && { recall: false }),
      items: false,
      slow: { rank, bias: false, gated: false, learningRate: 0.2, ewcLambda: ewc ? LAMBDA : 0, fisherDecay: 0.999 },
      learning: { maxDelta: 2 },
      seed: 3,
    });
    this.#matrix = [this.#qualities()];
  }

  /** Learns the words of a taste once more. */
  step(): Forgetting {
    if (this.#round < ROUNDS * TASTES.length) {
      const taste = Math.floor(this.#round / ROUNDS);
      for (const word of TASTES[taste]!.learn) this.#learn(word, TASTES[taste]!);
      this.#round++;
      if (this.#round % ROUNDS === 0) this.#user.consolidate();
      this.#matrix = [...this.#matrix.slice(0, taste + 1), this.#qualities()];
    }
    return this.state;
  }

  get state(): Forgetting {
    const taste = Math.floor(this.#round / ROUNDS);
    return { round: this.#round, rounds: ROUNDS * TASTES.length, taste, matrix: this.#matrix };
  }

  close(): void {
    this.#user.close();
  }

  #learn(word: string, { titleOf }: Taste): void {
    const query = this.#embedder.embed(word);
    const chosen = this.#idOf(titleOf(word));
    const listed = this.#user.search(query, this.#index, SHOWN).map(({ id }) => id);
    this.#user.learn({ query, chosen, shown: [...new Set([...listed, chosen])], index: this.#index });
  }

  /** The mean reciprocal rank of what is meant, by words that were not learned. */
  #qualities(): number[] {
    return TASTES.map(({ ask, titleOf }) => {
      const found = ask.map((word) => {
        const hits = this.#user.search(this.#embedder.embed(word), this.#index, DEPTH);
        const place = hits.findIndex(({ id }) => id === this.#idOf(titleOf(word)));
        return place === -1 ? 0 : 1 / (place + 1);
      });
      return found.reduce((sum, each) => sum + each, 0) / found.length;
    });
  }
}
