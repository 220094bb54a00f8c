import { combine, klToBase, kto, type Loss, tokenNll } from "@microlora/onnx";
import { adamw, MicroLora } from "microlora";
import { ChatError } from "../base/errors.js";
import { aborted, generateAnswer } from "../generate/answer.js";
import type { Queue } from "../generate/queue.js";
import { BACKGROUND } from "../memory/background.js";
import { Mixture } from "../memory/mixture.js";
import type { Recall } from "../recall.js";
import { examplesOf, type Lesson } from "./examples.js";

/** How gradients teach a user's adapter. */
export interface SleepOptions {
  /** Times that each fact is learned, or steps for a thumb; 10 by default. */
  readonly passes?: number;
  /** Length of an AdamW step; 0.01 by default. An adapter that is there keeps its own. */
  readonly learningRate?: number;
  /** Rank of a new adapter; 2 by default. */
  readonly rank?: number;
  /** Weight of KL(adapted || base) on unrelated questions; 1 by default. */
  readonly hold?: number;
  /** Log-probability a token, in nats, that unrelated answers may lose; 0.02 by default. */
  readonly limit?: number;
  /** Stops between two steps; nothing has changed then. */
  readonly signal?: AbortSignal;
}

/** Result of learning by gradients. */
export interface LearnReport {
  /** Whether the user's adapter was replaced. False if unrelated answers lost too much, or a fact was forgotten meanwhile. */
  readonly isKept: boolean;
  /** Mean change of the log-probability of unrelated answers, in nats a token. */
  readonly unrelated: number;
  /** Share of the answers in which every token has more than half of the probability, without memory. */
  readonly recalled: number;
}

export interface Trained extends LearnReport {
  readonly adapter: MicroLora;
}

/** Facts that are learned in one step. */
const BATCH = 6;

/** Which background questions keep the model where it was, and which ones measure that; the first eight center its states. */
const HOLD = BACKGROUND.slice(8, 14);
const GUARD = BACKGROUND.slice(14);

/** Tokens of the base model's own answers to them. */
const OWN_TOKENS = 16;

/** Trains adapters beside a model that answers meanwhile. */
export class Study {
  readonly #recall: Recall;
  readonly #queue: Queue;
  #own: Promise<{ readonly held: readonly Lesson[]; readonly guard: readonly Lesson[] }> | undefined;

  constructor(recall: Recall, queue: Queue) {
    this.#recall = recall;
    this.#queue = queue;
  }

  /** Trains a new adapter on questions and answers. */
  async facts(facts: readonly Lesson[], options: SleepOptions): Promise<Trained> {
    if (facts.length === 0) {
      throw new ChatError("invalid-option", "facts", "there are none", "Call teach(question, answer) first");
    }
    const adapter = await this.#create(options);
    const { passes = 10 } = options;
    for (let pass = 0; pass < passes; pass++) {
      for (let at = 0; at < facts.length; at += BATCH) {
        const lessons = facts.slice(at, at + BATCH);
        await this.#step(lessons, (labels) => tokenNll({ labels }), adapter, options);
      }
    }
    return this.#measured(adapter, facts, options);
  }

  /** Steps an adapter, or a new one, towards an answer or away from it (KTO). */
  async thumb(lesson: Lesson, isUp: boolean, before: MicroLora | null, options: SleepOptions): Promise<Trained> {
    const adapter =
      before === null
        ? await this.#create(options)
        : await MicroLora.fromBytes(before.toBytes(), { methods: [adamw()] });
    const loss = (labels: readonly (readonly number[])[]) =>
      kto({ labels, desirable: labels.map(() => isUp), weights: labels.map((_, row) => (row === 0 ? 1 : 0)) });
    for (let pass = 0; pass < (options.passes ?? 10); pass++) await this.#step([lesson], loss, adapter, options);
    return this.#measured(adapter, [lesson], options);
  }

  #create({ rank = 2, learningRate = 0.01 }: SleepOptions): Promise<MicroLora> {
    const learning = { optimizer: adamw(), learningRate, ewcLambda: 0 };
    return this.#recall.engine.model.createAdapter({ rank, seed: 1, learning });
  }

  async #step(
    lessons: readonly Lesson[],
    lossOf: (labels: readonly (readonly number[])[]) => Loss,
    adapter: MicroLora,
    { hold = 1, signal }: SleepOptions,
  ): Promise<void> {
    if (signal?.aborted) throw aborted();
    const { held } = await this.#ownAnswers();
    const { tokens, labels, kept } = examplesOf(this.#recall, lessons, held);
    const loss = combine([
      [1, lossOf(labels)],
      [hold, klToBase({ mask: kept })],
    ]);
    await this.#recall.engine.learn(tokens, loss, adapter);
  }

  async #measured(adapter: MicroLora, lessons: readonly Lesson[], { limit = 0.02 }: SleepOptions): Promise<Trained> {
    const { guard } = await this.#ownAnswers();
    let [unrelated, recalled] = [0, 0];
    for (const lesson of guard) {
      const [now, before] = [await this.#scores(lesson, adapter), await this.#scores(lesson, null)];
      unrelated += (meanOf(now) - meanOf(before)) / guard.length;
    }
    for (const lesson of lessons) {
      const scores = await this.#scores(lesson, adapter);
      if (scores.every((score) => score > Math.log(0.5))) recalled += 1 / lessons.length;
    }
    return { adapter, isKept: unrelated >= -limit, unrelated, recalled };
  }

  async #scores({ question, answer }: Lesson, adapter: MicroLora | null): Promise<Float64Array> {
    const { own } = await this.#recall.ask([{ role: "user", content: question }], adapter);
    return this.#recall.scoresOf(own, this.#recall.tokensOf(answer), adapter);
  }

  #ownAnswers() {
    this.#own ??= this.#answerAll().catch((error: unknown) => {
      this.#own = undefined;
      throw error;
    });
    return this.#own;
  }

  async #answerAll() {
    const lessons = await Promise.all(
      [...HOLD, ...GUARD].map(async (question) => ({ question, answer: await this.#answerOf(question) })),
    );
    const { engine, tokenizer } = this.#recall;
    const isUsable = ({ question, answer }: Lesson) => {
      const asked = tokenizer.encode(tokenizer.render([{ role: "user", content: question }])).length;
      return answer.trim() !== "" && asked + this.#recall.tokensOf(answer).length <= engine.context;
    };
    const [held, guard] = [lessons.slice(0, HOLD.length), lessons.slice(HOLD.length)];
    return { held: held.filter(isUsable), guard: guard.filter(isUsable) };
  }

  async #answerOf(question: string): Promise<string> {
    const { own } = await this.#recall.ask([{ role: "user", content: question }], null);
    const start = { ...own, adapter: null, mixture: new Mixture([]) };
    let answer = "";
    const options = { maxTokens: OWN_TOKENS };
    for await (const piece of generateAnswer(this.#recall.tokenizer, this.#queue, start, options)) answer += piece;
    return answer;
  }
}

/** @throws ChatError `invalid-option` */
export function checkSleepOptions({
  passes = 10,
  learningRate = 0.01,
  rank = 2,
  hold = 1,
  limit = 0.02,
}: SleepOptions) {
  const isCount = (value: number) => Number.isInteger(value) && value >= 1;
  check("passes", passes, isCount(passes), "Pass a count, 1 or more");
  check("rank", rank, isCount(rank), "Pass a count, 1 or more");
  check("learningRate", learningRate, learningRate > 0 && learningRate < 1, "Pass a number between 0 and 1");
  check("hold", hold, hold >= 0 && hold < Number.POSITIVE_INFINITY, "Pass 0 or more");
  check("limit", limit, limit >= 0, "Pass a loss in nats a token, 0 or more");
}

function check(name: string, value: number, isRight: boolean, remedy: string): void {
  if (!isRight) throw new ChatError("invalid-option", name, `is ${value}`, remedy);
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
