import type { MicroLora } from "microlora";
import { ChatError } from "./base/errors.js";
import { type AnswerOptions, aborted, checkAnswerOptions, generateAnswer } from "./generate/answer.js";
import type { Queue } from "./generate/queue.js";
import { checkSleepOptions, type LearnReport, type SleepOptions, type Study, type Trained } from "./learn/study.js";
import { type Fact, FactMemory } from "./memory/fact-memory.js";
import { Mixture } from "./memory/mixture.js";
import { CHANNELS } from "./memory/router.js";
import { correction, differInValueOnly, inSecondPerson, mentions, normalized } from "./memory/wording.js";
import type { Asked, Recall } from "./recall.js";
import { checkMessages, type Message } from "./tokenizer/chat-tokenizer.js";
import { decodeUser, encodeUser, type UserState } from "./user-state.js";

/** How one question is answered. */
export interface SayOptions extends AnswerOptions {
  /** Turns before; none by default. */
  readonly history?: readonly Message[];
  /** Instructions for the model, before the history; none by default. */
  readonly system?: string;
}

/** Where a user's state is kept: a `Map`, `folderStore()` of "@microlora/chat/node", or anything else with these two. */
export interface Store {
  /** The bytes kept under a key; undefined if there are none. */
  get(key: string): Promise<Uint8Array | undefined> | Uint8Array | undefined;
  /** Keeps bytes under a key. */
  set(key: string, bytes: Uint8Array): unknown;
}

/** Facts to forget: those that mention all words of `about`, or the one with an id. */
export type ForgetRequest = { readonly about: string } | { readonly id: number };

/** A fact that was kept, and the facts that it replaced. */
export interface Taught {
  /** The fact that was kept. */
  readonly fact: Fact;
  /** The facts that it replaced. */
  readonly replaced: readonly Fact[];
}

/** What all users of a model share. */
interface Shared {
  readonly recall: Recall;
  readonly queue: Queue;
  readonly study: Study;
}

interface Exchange {
  readonly question: string;
  readonly answer: string;
}

/** Answers that `correct` and `rate` find again. */
const EXCHANGES = 16;

/** Questions about the same thing have at least this cosine. */
const ALIKE = 0.35;

/** One user of a model: what they told, and answers that use it. */
export class ChatUser {
  /** Name under which the user's state is kept. */
  readonly id: string;
  readonly #recall: Recall;
  readonly #queue: Queue;
  readonly #study: Study;
  readonly #store: Store | undefined;
  readonly #memory: FactMemory;
  #adapter: MicroLora | null;
  #learned: ReadonlySet<number>;
  /** The latest answers, the last one first. */
  #exchanges: readonly Exchange[] = [];
  /** Changes are made and saved one after the other, in the order of the calls. */
  #turn: Promise<unknown> = Promise.resolve();
  #unsaved: unknown;

  private constructor(id: string, { recall, queue, study }: Shared, store: Store | undefined, state: UserState) {
    this.id = id;
    this.#recall = recall;
    this.#queue = queue;
    this.#study = study;
    this.#store = store;
    this.#memory = state.memory;
    this.#adapter = state.adapter;
    this.#learned = state.learned;
  }

  /** @internal */
  static async open(id: string, shared: Shared, store: Store | undefined): Promise<ChatUser> {
    const { recall } = shared;
    const channels = await recall.channels();
    const bytes = await store?.get(id);
    const { fingerprint } = recall.engine.model;
    const state =
      bytes === undefined
        ? { memory: new FactMemory(channels), adapter: null, learned: new Set<number>() }
        : await decodeUser(bytes, channels, fingerprint);
    return new ChatUser(id, shared, store, state);
  }

  /** The facts that the user told. Their order has no meaning. */
  get facts(): readonly Fact[] {
    return this.#memory.facts;
  }

  /** Why the last change could not be saved; undefined if it was saved. The change counts all the same. */
  get unsaved(): unknown {
    return this.#unsaved;
  }

  /** The adapter with which the model answers this user; null for none. */
  get adapter(): MicroLora | null {
    return this.#adapter;
  }

  /** Answers with an adapter from now on, and saves it with the facts. @param adapter of `chat.model`; null for the base model */
  useAdapter(adapter: MicroLora | null): Promise<void> {
    return this.#inTurn(() => this.#take(adapter, new Set()));
  }

  /**
   * Answers, piece by piece. A loop that ends early stops generating.
   * @throws ChatError `invalid-option`, `not-a-string`, `no-chat-template`, `aborted`
   */
  async *say(text: string, options: SayOptions = {}): AsyncGenerator<string, string, void> {
    checkText(text, "text");
    checkAnswerOptions(options);
    const { history = [], system, signal } = options;
    checkMessages(history);
    const messages: Message[] = [...(system === undefined ? [] : [{ role: "system", content: system }]), ...history];
    const adapter = this.#adapter;
    const asked = await this.#recall.ask([...messages, { role: "user", content: text }], adapter);
    const mixture = new Mixture(await this.#recall.sources(asked, this.#memory));
    if (signal?.aborted) throw aborted();
    const start = { ...asked.own, adapter, mixture };
    const answer = yield* generateAnswer(this.#recall.tokenizer, this.#queue, start, options);
    this.#exchanges = [{ question: text, answer }, ...this.#exchanges].slice(0, EXCHANGES);
    return answer;
  }

  /** The whole answer. @throws as `say` */
  async answer(text: string, options: SayOptions = {}): Promise<string> {
    let whole = "";
    for await (const piece of this.say(text, options)) whole += piece;
    return whole;
  }

  /**
   * Remembers the answer to a question, at once: one forward pass, no gradient. It replaces facts about the same thing.
   * @throws ChatError `not-a-string`, `invalid-option` for an empty text
   */
  async teach(question: string, answer: string): Promise<Taught> {
    checkText(question, "question");
    checkText(answer, "answer");
    return this.#inTurn(() => this.#keep(question, answer, false));
  }

  /** Remembers a statement of the user about themselves: "My dog is called Rex." @throws as `teach` */
  async tell(statement: string): Promise<Taught> {
    checkText(statement, "statement");
    return this.#inTurn(() => this.#keep(statement, inSecondPerson(statement), true));
  }

  /**
   * Says what one of the last 16 answers should have been.
   * @param answer what the assistant said @param right "No, it is Rex.", or the whole right answer
   * @throws as `teach`; ChatError `unknown-fact` for an answer that was not given since the user was opened
   */
  async correct(answer: string, right: string): Promise<Taught> {
    checkText(right, "right");
    return this.teach(this.#exchangeOf(answer).question, correction(answer, right));
  }

  /**
   * Forgets facts; the saved state has no trace of them. If the adapter learned one of them, the adapter goes too, with all that `sleep` and
   * `rate` taught it; the other facts stay in memory.
   * @returns the facts that are gone
   */
  async forget(request: ForgetRequest): Promise<readonly Fact[]> {
    return this.#inTurn(async () => {
      const found = this.#memory.facts.filter((fact) =>
        "id" in request ? fact.id === request.id : mentions(`${fact.question} ${fact.answer}`, request.about),
      );
      if (found.length === 0) return found;
      for (const fact of found) this.#drop(fact);
      await this.#save();
      return found;
    });
  }

  /**
   * Learns all facts into the user's adapter by gradients; memory keeps them too. Takes minutes; answers go on meanwhile. The adapter
   * changes only if unrelated answers lose at most `limit` nats a token.
   * @throws ChatError `invalid-option`, `aborted`
   */
  async sleep(options: SleepOptions = {}): Promise<LearnReport> {
    checkSleepOptions(options);
    const facts = [...this.#memory.facts];
    const trained = await this.#study.facts(facts, options);
    const ids = new Set(facts.map(({ id }) => id));
    return this.#inTurn(async () => {
      const isCurrent = facts.every(({ id }) => this.#memory.has(id));
      return this.#decide(isCurrent ? trained : { ...trained, isKept: false }, ids);
    });
  }

  /**
   * Thumbs up or down on one of the last 16 answers: a few gradient steps (KTO), taken back if unrelated answers lose more than `limit`.
   * @throws as `correct` and `sleep`
   */
  async rate(answer: string, thumb: "up" | "down", options: SleepOptions = {}): Promise<LearnReport> {
    checkSleepOptions(options);
    if (thumb !== "up" && thumb !== "down") {
      throw new ChatError("invalid-option", "thumb", `is ${String(thumb)}`, 'Pass "up" or "down"');
    }
    const exchange = this.#exchangeOf(answer);
    return this.#inTurn(async () => {
      const trained = await this.#study.thumb(exchange, thumb === "up", this.#adapter, options);
      return this.#decide(trained, this.#learned);
    });
  }

  /** Log-probability of each token of an answer, with the one that ends it; `told: false` for the model and adapter without memory. */
  async score(question: string, answer: string, { told = true } = {}): Promise<Float64Array> {
    const adapter = this.#adapter;
    const asked = await this.#recall.ask([{ role: "user", content: question }], adapter);
    const tokens = this.#recall.tokensOf(answer);
    return told
      ? this.#recall.mixedScoresOf(asked, tokens, this.#memory, adapter)
      : this.#recall.scoresOf(asked.own, tokens, adapter);
  }

  /** Facts and adapter as bytes, as the store has them. */
  toBytes(): Uint8Array {
    return encodeUser({ memory: this.#memory, adapter: this.#adapter, learned: this.#learned });
  }

  async #keep(question: string, answer: string, isStatement: boolean): Promise<Taught> {
    const asked = await this.#recall.ask([{ role: "user", content: question }], null);
    const tokens = Uint32Array.from(this.#recall.tokensOf(answer));
    const scores = Float32Array.from(await this.#recall.scoresOf(asked.bare, tokens, null));
    const replaced = this.#sameAs(asked, question, answer, isStatement);
    for (const fact of replaced) this.#drop(fact);
    const told = { question, answer, isStatement, tokens, scores };
    const fact = this.#memory.add(told, this.#recall.keysOf(asked, answer));
    await this.#save();
    return { fact, replaced };
  }

  /** Facts of the same thing: told with the same question, or with a question alike and an answer that has another value only. */
  #sameAs(asked: Asked, question: string, answer: string, isStatement: boolean): readonly Fact[] {
    const alike = this.#memory.cosines(CHANNELS.question, asked.keys[CHANNELS.question]!);
    return this.#memory.facts.filter((fact, i) => {
      if (!isStatement && normalized(fact.question) === normalized(question)) return true;
      const asks = isStatement || fact.isStatement ? "" : `${fact.question} ${question}`;
      return alike[i]! > ALIKE && differInValueOnly(fact.answer, answer, asks);
    });
  }

  /** Removes a fact from memory, from the adapter if it was learned, and from the answers that `correct` finds. */
  #drop({ id, answer }: Fact): void {
    this.#memory.remove(id);
    this.#exchanges = this.#exchanges.filter((exchange) => exchange.answer !== answer);
    if (!this.#learned.has(id)) return;
    this.#adapter = null;
    this.#learned = new Set();
  }

  async #decide({ adapter, isKept, ...measured }: Trained, learned: ReadonlySet<number>): Promise<LearnReport> {
    if (isKept) await this.#take(adapter, learned);
    return { isKept, ...measured };
  }

  async #take(adapter: MicroLora | null, learned: ReadonlySet<number>): Promise<void> {
    this.#adapter = adapter;
    this.#learned = learned;
    await this.#save();
  }

  #exchangeOf(answer: string): Exchange {
    checkText(answer, "answer");
    const found = this.#exchanges.find((exchange) => exchange.answer.trim() === answer.trim());
    if (found !== undefined) return found;
    throw new ChatError("unknown-fact", "answer", "it is not among the last answers", "Call teach(question, answer)");
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #save(): Promise<void> {
    this.#unsaved = undefined;
    try {
      await this.#store?.set(this.id, this.toBytes());
    } catch (error) {
      this.#unsaved = error;
    }
  }
}

function checkText(text: string, where: string): void {
  if (typeof text !== "string") throw new ChatError("not-a-string", where, `is ${typeof text}`, "Pass a text");
  if (text.trim() === "") throw new ChatError("invalid-option", where, "is empty", "Pass a text");
}
