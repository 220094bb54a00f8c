import type { TextEmbedder } from "@microlora/embed";
import type { MicroLora } from "microlora";
import type { Cache, Engine, Prefilled } from "./generate/engine.js";
import { softmax } from "./generate/sampling.js";
import { BACKGROUND } from "./memory/background.js";
import type { Channels, Fact, FactMemory, Keys } from "./memory/fact-memory.js";
import { unit } from "./memory/key-rows.js";
import { Mixture, type Source } from "./memory/mixture.js";
import { CHANNELS, candidatesFor, sharesOf, UNVERIFIED, type Verification, verificationOf } from "./memory/router.js";
import type { ChatTokenizer, Message } from "./tokenizer/chat-tokenizer.js";

/** The layer whose hidden states tell questions apart: behind the last block. */
export const STATE_LAYER = -1;

/** Questions that go through the model once, for the mean of its states. */
const STATES = 8;

/** A conversation that the model has read, with one adapter or none. */
export interface Reading {
  readonly cache: Cache;
  /** Of the answer's first token. */
  readonly scores: Float32Array;
}

/** A question that the model has read. */
export interface Asked {
  readonly text: string;
  /** By the bare model, which finds facts: they stay comparable when a user's adapter changes. */
  readonly bare: Reading;
  /** With the user's adapter, which answers. */
  readonly own: Reading;
  readonly keys: Keys;
}

/** What a model, an embedder and a tokenizer make of questions, for every user. */
export class Recall {
  readonly engine: Engine;
  readonly tokenizer: ChatTokenizer;
  readonly #embedder: TextEmbedder;
  readonly #textCenter: Float32Array;
  #stateCenter: Promise<Float32Array> | undefined;
  /** Tokens that every prompt begins with, and what the bare model makes of them. */
  #prefix: Promise<{ readonly tokens: readonly number[]; readonly cache: Cache }> | undefined;

  constructor(engine: Engine, tokenizer: ChatTokenizer, embedder: TextEmbedder) {
    this.engine = engine;
    this.tokenizer = tokenizer;
    this.#embedder = embedder;
    this.#textCenter = meanOf(BACKGROUND.map((text) => embedder.embed(text)));
  }

  /** Widths of a fact's keys. */
  async channels(): Promise<Channels> {
    const { dimensions } = this.#embedder;
    const { length } = await this.#center();
    return { [CHANNELS.question]: dimensions, [CHANNELS.answer]: dimensions, [CHANNELS.state]: length };
  }

  /** Reads a conversation up to where the answer begins. @param adapter with which the model answers */
  async ask(messages: readonly Message[], adapter: MicroLora | null): Promise<Asked> {
    const read = await this.#read(messages, null);
    const bare = readingOf(read);
    const own = adapter === null ? bare : readingOf(await this.#read(messages, adapter));
    const state = unit(read.states.get(STATE_LAYER)!.at(-1)!, await this.#center());
    const text = messages.at(-1)?.content ?? "";
    const embedding = this.#embed(text);
    const keys = { [CHANNELS.question]: embedding, [CHANNELS.answer]: embedding, [CHANNELS.state]: state };
    return { text, bare, own, keys };
  }

  /** Keys of a fact: its question, the model's state behind it, and its answer. */
  keysOf(asked: Asked, answer: string): Keys {
    return { ...asked.keys, [CHANNELS.answer]: this.#embed(answer) };
  }

  /** Log-probability of each token of an answer, by the model alone. */
  async scoresOf(reading: Reading, tokens: ArrayLike<number>, adapter: MicroLora | null): Promise<Float64Array> {
    const list = Array.from(tokens);
    const own = list.length > 1 ? await this.#continued(reading, list.slice(0, -1), adapter) : [];
    const rows = [reading.scores, ...own];
    return Float64Array.from(list, (token, i) => Math.log(softmax(rows[i]!)[token]!));
  }

  async #continued({ cache }: Reading, tokens: readonly number[], adapter: MicroLora | null) {
    const { scores } = await this.engine.prefill(tokens, { cache, adapter, keep: tokens.length });
    return scores;
  }

  /** Facts that may answer the question, each with its probability. Facts that are forgotten meanwhile are left out. */
  async sources(asked: Asked, memory: FactMemory): Promise<readonly Source[]> {
    if (memory.size === 0) return [];
    const room = this.engine.context - asked.bare.cache.length;
    const candidates = candidatesFor(memory, asked).filter(({ fact }) => fact.tokens.length <= room);
    const verifications: Verification[] = [];
    for (const { fact } of candidates) verifications.push(await this.#verify(asked, fact));
    const shares = sharesOf(candidates, verifications);
    return candidates
      .map(({ fact }, i) => ({ fact, tokens: fact.tokens, prior: shares[i]! }))
      .filter(({ fact, prior }) => prior > 0 && memory.has(fact.id));
  }

  async #verify({ bare }: Asked, { tokens, scores, isStatement }: Fact): Promise<Verification> {
    return isStatement ? UNVERIFIED : verificationOf(await this.scoresOf(bare, tokens, null), scores);
  }

  /** Log-probability of each token of an answer, by the model and what was told. */
  async mixedScoresOf(
    asked: Asked,
    tokens: ArrayLike<number>,
    memory: FactMemory,
    adapter: MicroLora | null,
  ): Promise<Float64Array> {
    const own = await this.scoresOf(asked.own, tokens, adapter);
    const mixture = new Mixture(await this.sources(asked, memory));
    return own.map((score, i) => {
      const probability = Math.exp(score);
      const mixed = mixture.probabilityOf(tokens[i]!, probability);
      mixture.accept(tokens[i]!, probability);
      return Math.log(mixed);
    });
  }

  /** Tokens of an answer with the one that ends it. */
  tokensOf(answer: string): readonly number[] {
    const [end] = this.tokenizer.ends;
    return [...this.tokenizer.encodeText(answer), ...(end === undefined ? [] : [end])];
  }

  #embed(text: string): Float32Array {
    return unit(this.#embedder.embed(text), this.#textCenter);
  }

  async #read(messages: readonly Message[], adapter: MicroLora | null): Promise<Prefilled> {
    const tokens = this.tokenizer.encode(this.tokenizer.render(messages));
    if (adapter !== null) return this.engine.prefill(tokens, { adapter });
    const prefix = await this.#commonPrefix();
    const begins = tokens.length > prefix.tokens.length && prefix.tokens.every((token, i) => token === tokens[i]);
    if (!begins || prefix.tokens.length === 0) return this.engine.prefill(tokens);
    return this.engine.prefill(tokens.slice(prefix.tokens.length), { cache: prefix.cache });
  }

  #commonPrefix() {
    this.#prefix ??= this.#readPrefix();
    return this.#prefix;
  }

  async #readPrefix() {
    const [a, b] = ["A", "1"].map((content) =>
      this.tokenizer.encode(this.tokenizer.render([{ role: "user", content }])),
    ) as [readonly number[], readonly number[]];
    let length = 0;
    while (length < a.length && a[length] === b[length]) length++;
    const tokens = a.slice(0, length);
    const cache = length === 0 ? { length: 0, values: new Map() } : (await this.engine.prefill(tokens)).cache;
    return { tokens, cache };
  }

  #center(): Promise<Float32Array> {
    this.#stateCenter ??= this.#meanState();
    return this.#stateCenter;
  }

  async #meanState(): Promise<Float32Array> {
    const states: Float32Array[] = [];
    for (const content of BACKGROUND.slice(0, STATES)) {
      const { states: read } = await this.#read([{ role: "user", content }], null);
      states.push(read.get(STATE_LAYER)!.at(-1)!);
    }
    return meanOf(states);
  }
}

function readingOf({ cache, scores }: Prefilled): Reading {
  return { cache, scores: scores[0]! };
}

function meanOf(vectors: readonly Float32Array[]): Float32Array {
  const mean = new Float32Array(vectors[0]!.length);
  for (const vector of vectors) for (const [i, value] of vector.entries()) mean[i]! += value / vectors.length;
  return mean;
}
