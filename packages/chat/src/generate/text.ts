import type { ChatTokenizer } from "../tokenizer/chat-tokenizer.js";

/** The replacement character, which stands where bytes of a character are still to come. */
const UNFINISHED = "�";

/** Turns tokens into text as they come: whole characters only, and nothing that may be the beginning of a stop string. */
export class TextStream {
  readonly #tokenizer: ChatTokenizer;
  readonly #stops: readonly string[];
  readonly #tokens: number[] = [];
  #given = 0;
  #text = "";
  #isStopped = false;

  constructor(tokenizer: ChatTokenizer, stops: readonly string[]) {
    this.#tokenizer = tokenizer;
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** The whole text so far, without the stop string. */
  get text(): string {
    return this.#text;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Takes a token. @returns the text that is new and certain */
  push(token: number): string {
    this.#tokens.push(token);
    const text = this.#tokenizer.decode(this.#tokens);
    if (text.endsWith(UNFINISHED)) return "";
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    this.#isStopped = found.length > 0;
    this.#text = this.#isStopped ? text.slice(0, Math.min(...found)) : text;
    return this.#give(this.#isStopped ? this.#text.length : this.#text.length - this.#held());
  }

  /** What was held back, when no more tokens come. */
  end(): string {
    return this.#give(this.#text.length);
  }

  #give(end: number): string {
    const piece = this.#text.slice(this.#given, end);
    this.#given = Math.max(this.#given, end);
    return piece;
  }

  /** Characters at the end that a stop string may begin with. */
  #held(): number {
    let most = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, this.#text.length); length > most; length--) {
        if (this.#text.endsWith(stop.slice(0, length))) most = length;
      }
    }
    return most;
  }
}
