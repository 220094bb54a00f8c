import { PERSONALIZER_DEFAULTS, type PersonalFeedback, Personalizer, type Runtime } from "microlora";
import type { Corpus } from "./corpus.js";

type Feedback = PersonalFeedback<string>;

/** One choice: enough to learn from it again. */
export interface Click {
  readonly query: string;
  readonly chosen: string;
  readonly shown: readonly string[];
}

/** What is kept of a user; the state is what learning from the clicks in turn gives. */
export interface Saved {
  readonly corpus: string;
  readonly name: string;
  readonly clicks: readonly Click[];
  /** How many of the clicks count: fewer than all after going back in time. */
  readonly cursor: number;
  readonly eagerness: number;
}

export const EAGERNESS = { least: 0.25, most: 4, usual: 1 } as const;

/** A user of one corpus, at one moment of what they chose. */
export class Person {
  readonly #corpus: Corpus;
  readonly #runtime: Runtime;
  readonly #embed: (text: string) => Float32Array;
  #saved: Saved;
  #personalizer: Personalizer;

  constructor(saved: Saved, corpus: Corpus, runtime: Runtime, embed: (text: string) => Float32Array) {
    this.#saved = saved;
    this.#corpus = corpus;
    this.#runtime = runtime;
    this.#embed = embed;
    this.#personalizer = this.#replayed();
  }

  get saved(): Saved {
    return this.#saved;
  }

  get personalizer(): Personalizer {
    return this.#personalizer;
  }

  /** The choices that count now. */
  get clicks(): readonly Click[] {
    return this.#saved.clicks.slice(0, this.#saved.cursor);
  }

  /** Learns from a choice; what was ahead in time is gone. @returns microseconds, the mean of a few times on copies */
  learn(click: Click): number {
    const feedback = this.#feedbackOf(click);
    const micros = this.#measured(feedback);
    this.#personalizer.learn(feedback);
    this.#saved = { ...this.#saved, clicks: [...this.clicks, click], cursor: this.#saved.cursor + 1 };
    return micros;
  }

  /** Goes to the state after so many choices. */
  goTo(cursor: number): void {
    this.#change({ ...this.#saved, cursor: Math.max(0, Math.min(this.#saved.clicks.length, cursor)) });
  }

  /** Learns everything again, more or less eagerly. */
  setEagerness(eagerness: number): void {
    this.#change({ ...this.#saved, eagerness });
  }

  close(): void {
    this.#personalizer.close();
  }

  #change(saved: Saved): void {
    this.#saved = saved;
    this.#personalizer.close();
    this.#personalizer = this.#replayed();
  }

  #replayed(): Personalizer {
    const personalizer = this.#fresh();
    for (const click of this.clicks) personalizer.learn(this.#feedbackOf(click));
    return personalizer;
  }

  #fresh(): Personalizer {
    const { eagerness } = this.#saved;
    const { recall, slow } = PERSONALIZER_DEFAULTS;
    const { dimensions } = this.#corpus.index;
    return Personalizer.createSync({
      dimensions,
      runtime: this.#runtime,
      recall: { learningRate: recall.learningRate * eagerness },
      slow: { learningRate: slow.learningRate * eagerness },
    });
  }

  #feedbackOf({ query, chosen, shown }: Click): Feedback {
    return { query: this.#embed(query), chosen, shown: [...shown], index: this.#corpus.index };
  }

  #measured(feedback: Feedback): number {
    const TIMES = 8;
    const bytes = this.#personalizer.toBytes();
    let spent = 0;
    for (let i = 0; i < TIMES; i++) {
      const copy = Personalizer.fromBytesSync(bytes, { runtime: this.#runtime });
      const start = performance.now();
      copy.learn(feedback);
      spent += performance.now() - start;
      copy.close();
    }
    return (1000 * spent) / TIMES;
  }
}
