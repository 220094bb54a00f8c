/** One instruction of a program that matches text; numbers are indexes of other instructions. */
export type Instruction =
  | { readonly kind: "character"; readonly matches: (character: string) => boolean }
  | { readonly kind: "assertion"; readonly holds: (before: string | undefined, after: string | undefined) => boolean }
  | { readonly kind: "split"; readonly first: number; readonly second: number }
  | { readonly kind: "end" };

/** A pattern that this parser does not understand, or that is too long once repetitions are written out. */
export class PatternError extends Error {
  override readonly name = "PatternError";
}

/** Instructions of one pattern; a model's own patterns need a few dozen. */
const MAX_INSTRUCTIONS = 5_000;
const MAX_DEPTH = 50;

type Test = (character: string) => boolean;

const DIGIT: Test = (c) => /\p{Nd}/u.test(c);
const WORD: Test = (c) => /[\p{L}\p{N}_]/u.test(c);
const SPACE: Test = (c) => /\s/.test(c);
const not =
  (test: Test): Test =>
  (c) =>
    !test(c);

/** Escapes that stand for a class of characters in Python's `re`. */
const CLASSES: ReadonlyMap<string, Test> = new Map([
  ["d", DIGIT],
  ["D", not(DIGIT)],
  ["w", WORD],
  ["W", not(WORD)],
  ["s", SPACE],
  ["S", not(SPACE)],
]);

const CONTROLS: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["f", "\f"],
  ["v", "\v"],
]);

type Holds = Extract<Instruction, { readonly kind: "assertion" }>["holds"];

const AT_START: Holds = (before) => before === undefined;
const AT_END: Holds = (_, after) => after === undefined;
const AT_WORD: Holds = (before, after) =>
  (before !== undefined && WORD(before)) !== (after !== undefined && WORD(after));

const ASSERTIONS: ReadonlyMap<string, Holds> = new Map([
  ["A", AT_START],
  ["Z", AT_END],
  ["b", AT_WORD],
  ["B", (before, after) => !AT_WORD(before, after)],
]);

/** The part of a pattern that was parsed: how to write its instructions, which repetition does several times. */
type Node = (program: Instruction[]) => void;

/**
 * Compiles a regular expression of Python's `re` to instructions, without look-around, back-references, flags and
 * possessive quantifiers. Thompson, Regular expression search algorithm, 1968.
 * @throws PatternError
 */
export function compilePattern(pattern: string): readonly Instruction[] {
  const parser = new Parser(pattern);
  const program: Instruction[] = [];
  parser.parse()(program);
  emit(program, { kind: "end" });
  return program;
}

function emit(program: Instruction[], instruction: Instruction): number {
  if (program.length >= MAX_INSTRUCTIONS) throw new PatternError(`takes more than ${MAX_INSTRUCTIONS} instructions`);
  return program.push(instruction) - 1;
}

class Parser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#characters = Array.from(pattern);
  }

  parse(): Node {
    const node = this.#alternatives();
    if (this.#at < this.#characters.length) this.#fail("has an unbalanced )");
    return node;
  }

  #alternatives(): Node {
    const nodes = [this.#sequence()];
    while (this.#accept("|")) nodes.push(this.#sequence());
    return nodes.reduceRight((others, node) => either(node, others));
  }

  #sequence(): Node {
    const nodes: Node[] = [];
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek()) {
      nodes.push(this.#repeated(this.#atom()));
    }
    return (program) => {
      for (const node of nodes) node(program);
    };
  }

  #repeated(atom: Node): Node {
    const bounds = this.#quantifier();
    if (bounds === undefined) return atom;
    // A lazy quantifier matches the same texts.
    this.#accept("?");
    if (this.#peek() === "+" || this.#quantifier() !== undefined) this.#fail("repeats a repetition");
    const [least, most] = bounds;
    return (program) => {
      repeat(least, atom, program);
      if (most === undefined) any(atom)(program);
      else repeat(most - least, optional(atom), program);
    };
  }

  #quantifier(): readonly [number, number | undefined] | undefined {
    if (this.#accept("*")) return [0, undefined];
    if (this.#accept("+")) return [1, undefined];
    if (this.#accept("?")) return [0, 1];
    const rest = this.#characters.slice(this.#at, this.#at + 16).join("");
    const [text, exact, least, most] = /^\{(?:(\d+)|(\d*),(\d*))\}/.exec(rest) ?? [];
    if (text === undefined) return undefined;
    this.#at += text.length;
    const from = Number(exact ?? (least || 0));
    const to = exact !== undefined ? from : most === "" ? undefined : Number(most);
    if (to !== undefined && to < from) this.#fail("has a repetition of at most less than at least");
    if (Math.max(from, to ?? 0) > MAX_INSTRUCTIONS) this.#fail("repeats too often");
    return [from, to];
  }

  #atom(): Node {
    const next = this.#take();
    if (next === "(") return this.#group();
    if (next === "[") return character(this.#set());
    if (next === ".") return character((c) => c !== "\n");
    if (next === "^") return assertion(AT_START);
    if (next === "$") return assertion(AT_END);
    if (next === "\\") {
      const escaped = this.#take();
      const holds = ASSERTIONS.get(escaped);
      return holds === undefined ? character(this.#escape(escaped)) : assertion(holds);
    }
    if ("*+?".includes(next)) this.#fail("has nothing to repeat");
    return character((c) => c === next);
  }

  #group(): Node {
    if (++this.#depth > MAX_DEPTH) this.#fail("nests too deep");
    if (this.#accept("?")) {
      const kind = this.#take();
      if (kind === "P" && this.#accept("<")) {
        while (this.#take() !== ">");
      } else if (kind !== ":") this.#fail("has look-around, a back-reference or a flag");
    }
    const node = this.#alternatives();
    if (!this.#accept(")")) this.#fail("has an unbalanced (");
    this.#depth--;
    return node;
  }

  #set(): Test {
    const isNegated = this.#accept("^");
    const tests: Test[] = [];
    do {
      const low = this.#member();
      const isRange = this.#peek() === "-" && this.#characters[this.#at + 1] !== "]";
      if (typeof low === "string" && isRange) {
        this.#at++;
        const high = this.#member();
        if (typeof high !== "string" || high < low) this.#fail("has a range that ends before it begins");
        tests.push((c) => c >= low && c <= high);
      } else tests.push(typeof low === "string" ? (c) => c === low : low);
    } while (!this.#accept("]"));
    return (c) => tests.some((test) => test(c)) !== isNegated;
  }

  #member(): string | Test {
    const next = this.#take();
    if (next !== "\\") return next;
    const escaped = this.#take();
    return CLASSES.get(escaped) ?? this.#literal(escaped);
  }

  #escape(escaped: string): Test {
    const literal = CLASSES.get(escaped) ?? this.#literal(escaped);
    return typeof literal === "string" ? (c) => c === literal : literal;
  }

  #literal(escaped: string): string {
    const control = CONTROLS.get(escaped);
    if (control !== undefined) return control;
    if (/[\p{L}\p{N}]/u.test(escaped)) this.#fail(`has the escape \\${escaped}`);
    return escaped;
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #accept(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #take(): string {
    return this.#characters[this.#at++] ?? this.#fail("ends too early");
  }

  #fail(problem: string): never {
    throw new PatternError(problem);
  }
}

function character(matches: Test): Node {
  return (program) => void emit(program, { kind: "character", matches });
}

function assertion(holds: Holds): Node {
  return (program) => void emit(program, { kind: "assertion", holds });
}

/** Writes a part several times; one that has no instructions is not worth a second time. */
function repeat(times: number, node: Node, program: Instruction[]): void {
  const start = program.length;
  for (let i = 0; i < times && (i === 0 || program.length > start); i++) node(program);
}

/** A split that jumps: both ways lead to the same instruction. */
function jump(to: number): Instruction {
  return { kind: "split", first: to, second: to };
}

function either(one: Node, other: Node): Node {
  return (program) => {
    const split = emit(program, jump(0));
    one(program);
    const end = emit(program, jump(0));
    program[split] = { kind: "split", first: split + 1, second: program.length };
    other(program);
    program[end] = jump(program.length);
  };
}

function optional(node: Node): Node {
  return (program) => {
    const split = emit(program, jump(0));
    node(program);
    program[split] = { kind: "split", first: split + 1, second: program.length };
  };
}

function any(node: Node): Node {
  return (program) => {
    const split = emit(program, jump(0));
    node(program);
    emit(program, jump(split));
    program[split] = { kind: "split", first: split + 1, second: program.length };
  };
}
