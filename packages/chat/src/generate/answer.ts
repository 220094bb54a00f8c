import type { MicroLora } from "microlora";
import { ChatError } from "../base/errors.js";
import type { Mixture } from "../memory/mixture.js";
import type { ChatTokenizer } from "../tokenizer/chat-tokenizer.js";
import type { Cache } from "./engine.js";
import type { Queue } from "./queue.js";
import { choose, penalized, randomAt, type SamplingOptions, samplingOf, softmax } from "./sampling.js";
import { TextStream } from "./text.js";

/** How one answer is generated. */
export interface AnswerOptions extends SamplingOptions {
  /** Tokens of the answer at most; 256 by default, and as many as the model reads. */
  readonly maxTokens?: number;
  /** Texts that end the answer, and do not appear in it; none by default. */
  readonly stop?: readonly string[];
  /** Stops generating; the answer ends with `aborted`. */
  readonly signal?: AbortSignal;
  /** Hears, before the answer is over, why it ends: `stop` at its own end or a stop text, `length` where no more tokens were allowed. */
  readonly onEnd?: (why: "stop" | "length") => void;
}

/** A conversation that was read, and who answers it. */
export interface Start {
  readonly cache: Cache;
  /** Of the answer's first token. */
  readonly scores: Float32Array;
  readonly adapter: MicroLora | null;
  readonly mixture: Mixture;
}

/** @throws ChatError `invalid-option` */
export function checkAnswerOptions(options: AnswerOptions): void {
  samplingOf(options);
  const { maxTokens = 256, stop = [] } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new ChatError("invalid-option", "maxTokens", `is ${maxTokens}`, "Pass a count of tokens, 1 or more");
  }
  if (!Array.isArray(stop) || stop.some((text) => typeof text !== "string")) {
    throw new ChatError("invalid-option", "stop", "is not a list of texts", 'Pass a list such as ["\\n"]');
  }
}

/** Generates an answer, as a row of the batch of all users. A reader that leaves early ends it. @returns the whole answer */
export async function* generateAnswer(
  tokenizer: ChatTokenizer,
  queue: Queue,
  { cache, scores, adapter, mixture }: Start,
  options: AnswerOptions,
): AsyncGenerator<string, string, void> {
  const { maxTokens = 256, stop = [], signal, onEnd } = options;
  const sampling = samplingOf(options);
  const most = Math.min(maxTokens, queue.context - cache.length);
  const text = new TextStream(tokenizer, stop);
  const seen = new Set<number>();
  const pieces: string[] = [];
  let why: "stop" | "length" = "stop";
  let [count, wake, failure, isOver, isLeft] = [0, () => {}, undefined as unknown, false, false];
  const next = (of: Float32Array): number | undefined => {
    if (signal?.aborted) throw aborted();
    if (isLeft) return undefined;
    const own = softmax(penalized(of, seen, sampling.repetitionPenalty));
    const mixed = own.slice();
    mixture.mix(mixed);
    const token = choose(mixed, sampling, randomAt(sampling.seed, count));
    mixture.accept(token, own[token]!);
    count += 1;
    if (tokenizer.ends.has(token)) return undefined;
    seen.add(token);
    pieces.push(text.push(token));
    wake();
    if (text.isStopped) return undefined;
    if (count < most) return token;
    why = "length";
    return undefined;
  };
  const done = (error?: unknown) => {
    [isOver, failure] = [true, error];
    wake();
  };
  try {
    const first = next(scores);
    if (first === undefined) isOver = true;
    else queue.add({ adapter, cache, first, next, done });
    for (;;) {
      while (pieces.length > 0) {
        const piece = pieces.shift()!;
        if (piece !== "") yield piece;
      }
      if (isOver) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (failure !== undefined) throw failure;
    onEnd?.(why);
    const rest = text.end();
    if (rest !== "") yield rest;
    return text.text;
  } finally {
    isLeft = true;
  }
}

/** What an answer that was stopped ends with. */
export function aborted(): ChatError {
  return new ChatError("aborted", "signal", "the answer was stopped", "Ask again");
}
