import { ServiceError } from "./errors.js";

/** Objects and lists within each other at most. */
const MAX_DEPTH = 32;

const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Parses JSON that comes from outside. Beyond `JSON.parse`, it refuses bytes that are not UTF-8, deep nesting, keys that come twice, the key
 * `__proto__`, numbers beyond float64, and half of a surrogate pair: each of them means different things to different readers.
 * @throws ServiceError `invalid-body`
 */
export function parseStrictJson(bytes: Uint8Array, where = "body"): unknown {
  const text = decoded(bytes, where);
  new Scanner(text, where).scan();
  const value = parsed(text, where);
  if (ESCAPED_SURROGATE.test(text)) checkWellFormed(value, where);
  return value;
}

function decoded(bytes: Uint8Array, where: string): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new ServiceError("invalid-body", where, "is not UTF-8", "Send text as UTF-8", { cause: error });
  }
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ServiceError("invalid-body", where, "is not JSON", "Send JSON", { cause: error });
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

const NUMBER = /[-+.0-9eE]*/y;
const COLON_NEXT = /\s*:/y;
/** Digits that no number within float64 needs, and that it cannot exceed without. */
const SHORT_NUMBER = 300;

/** Walks over the tokens of a text, in one pass and without recursion. Where the text is not JSON, `JSON.parse` says so afterwards. */
class Scanner {
  readonly #text: string;
  readonly #where: string;
  /** The keys of each object that is open; null for a list. */
  readonly #open: (Set<string> | null)[] = [];

  constructor(text: string, where: string) {
    this.#text = text;
    this.#where = where;
  }

  scan(): void {
    const text = this.#text;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) at = this.#string(at);
      else if (code === MINUS || (code >= ZERO && code <= NINE)) at = this.#number(at);
      else if (code === OPEN_LIST || code === OPEN_OBJECT) this.#enter(code);
      else if (code === CLOSE_LIST || code === CLOSE_OBJECT) this.#open.pop();
    }
  }

  #enter(code: number): void {
    this.#open.push(code === OPEN_OBJECT ? new Set() : null);
    if (this.#open.length > MAX_DEPTH) this.#refuse(`is nested more than ${MAX_DEPTH} deep`, "Send a flatter body");
  }

  /** @returns where the string ends */
  #string(start: number): number {
    const text = this.#text;
    let end = text.indexOf('"', start + 1);
    while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    const keys = this.#open.at(-1);
    COLON_NEXT.lastIndex = end + 1;
    if (keys && COLON_NEXT.test(text)) this.#key(keys, text.slice(start, end + 1));
    return end;
  }

  #key(keys: Set<string>, quoted: string): void {
    const key = quoted.includes("\\") ? String(parsed(quoted, this.#where)) : quoted.slice(1, -1);
    if (key === "__proto__") this.#refuse("has the key __proto__", "Leave it out");
    if (keys.has(key)) this.#refuse("has a key twice in one object", "Send each key once");
    keys.add(key);
  }

  /** @returns where the number ends */
  #number(start: number): number {
    NUMBER.lastIndex = start;
    const [number] = NUMBER.exec(this.#text)!;
    const mayBeLarge = number.length > SHORT_NUMBER || number.includes("e") || number.includes("E");
    if (mayBeLarge && Math.abs(Number(number)) === Number.POSITIVE_INFINITY) {
      this.#refuse("has a number beyond float64", "Send finite numbers");
    }
    return start + number.length - 1;
  }

  #refuse(problem: string, remedy: string): never {
    throw new ServiceError("invalid-body", this.#where, problem, remedy);
  }
}

/** Whether an odd number of backslashes stands before a place. */
function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
  return slashes % 2 === 1;
}

/** Without such an escape, a text that came from UTF-8 has no half of a surrogate pair. */
const ESCAPED_SURROGATE = /\\u[dD][89a-fA-F]/;
const HALF_OF_PAIR = /\p{Surrogate}/u;

function checkWellFormed(value: unknown, where: string): void {
  if (typeof value === "string" && HALF_OF_PAIR.test(value)) {
    throw new ServiceError("invalid-body", where, "holds half of a surrogate pair", "Send whole characters");
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, each] of Object.entries(value)) {
    checkWellFormed(key, where);
    checkWellFormed(each, where);
  }
}
