import { FormatError, shown } from "../base/errors.js";
import { compilePattern, type Instruction, PatternError } from "./pattern-parser.js";

/** Instructions that compiling and matching all patterns of a file may take; each takes well under a microsecond. */
const MAX_STEPS = 4_000_000;
/** Names without operators, which most patterns are; a dot stands for itself and more. */
const PLAIN = /^[\w-]+$/;

/** Values by patterns of module paths. */
export interface PatternLookup<T> {
  /** The value of the first pattern that matches the path. @throws FormatError `too-large` */
  find(path: string): T | undefined;
  /** The patterns that no path given to `find` was matched by. */
  unmatched(): readonly string[];
}

/**
 * Looks up values as PEFT's `get_pattern_key` does: a pattern matches the whole path, or its end after a dot. Patterns come
 * from a file, so matching takes time linear in the path and in the pattern, and all of it together is limited.
 * @throws FormatError `bad-config`, `too-large`
 */
export function patternLookup<T>(patterns: ReadonlyMap<string, T>, where: string): PatternLookup<T> {
  let left = MAX_STEPS;
  const spend = (steps: number) => {
    left -= steps;
    if (left < 0) throw new FormatError("too-large", where, "takes too many steps to match", "Use fewer patterns");
  };
  const machine = new Machine();
  const compiled = [...patterns].map(([pattern, value]) => ({
    pattern,
    value,
    matches: compile(pattern, where, machine, spend),
  }));
  const unmatched = new Set(patterns.keys());
  return {
    find(path) {
      const characters = Array.from(path);
      const found = compiled.find(({ matches }) => matches(path, characters));
      if (found !== undefined) unmatched.delete(found.pattern);
      return found?.value;
    },
    unmatched: () => [...unmatched],
  };
}

/** Whether a path, given whole and character by character, is matched. */
type Matches = (path: string, characters: readonly string[]) => boolean;

function compile(pattern: string, where: string, machine: Machine, spend: (steps: number) => void): Matches {
  if (PLAIN.test(pattern)) {
    return (path) => {
      spend(1);
      return path === pattern || path.endsWith(`.${pattern}`);
    };
  }
  try {
    const program = compilePattern(pattern);
    // A short pattern can make a long program, each instruction of which takes memory.
    spend(20 * program.length);
    return (_, characters) => machine.matches(program, characters, spend);
  } catch (cause) {
    if (!(cause instanceof PatternError)) throw cause;
    const problem = `has the pattern ${shown(pattern)}, which ${cause.message}`;
    throw new FormatError("bad-config", where, problem, "Name the modules by their paths", { cause });
  }
}

/** Follows all ways through a program at once, character by character: no path is walked twice. Its room is for any program. */
class Machine {
  #program: readonly Instruction[] = [];
  /** The last step in which each instruction was reached. */
  #reachedAt = new Uint32Array(0);
  /** Instructions that the next character is held against. */
  #states = new Uint16Array(0);
  #open = new Uint16Array(0);
  #step = 0;

  #load(program: readonly Instruction[]): void {
    this.#program = program;
    if (this.#reachedAt.length >= program.length) return;
    this.#reachedAt = new Uint32Array(program.length);
    this.#states = new Uint16Array(program.length);
    // An instruction opens at most two others, once in each step.
    this.#open = new Uint16Array(3 * program.length + 1);
  }

  /** Whether a program matches a whole path, or its end after a dot. */
  matches(program: readonly Instruction[], characters: readonly string[], spend: (steps: number) => void): boolean {
    this.#load(program);
    let count = 0;
    for (let at = 0; at <= characters.length; at++) {
      const [before, after] = [characters[at - 1], characters[at]];
      const isStart = at === 0 || before === ".";
      const reached = this.#reach(count, isStart, before, after);
      spend(1 + reached);
      if (after === undefined) return this.#isReached(this.#program.length - 1);
      count = this.#read(after);
    }
    return false;
  }

  /** Reaches what needs no character. @returns how many instructions are reached */
  #reach(count: number, isStart: boolean, before: string | undefined, after: string | undefined): number {
    this.#step++;
    let reached = 0;
    let open = count;
    this.#open.set(this.#states.subarray(0, count));
    if (isStart) this.#open[open++] = 0;
    while (open > 0) {
      const state = this.#open[--open]!;
      if (this.#isReached(state)) continue;
      this.#reachedAt[state] = this.#step;
      reached++;
      const instruction = this.#program[state]!;
      if (instruction.kind === "split") {
        this.#open[open++] = instruction.first;
        this.#open[open++] = instruction.second;
      } else if (instruction.kind === "assertion" && instruction.holds(before, after)) this.#open[open++] = state + 1;
    }
    return reached;
  }

  /** @returns how many instructions the character leads to */
  #read(character: string): number {
    let count = 0;
    for (let state = 0; state < this.#program.length; state++) {
      const instruction = this.#program[state]!;
      if (!this.#isReached(state) || instruction.kind !== "character") continue;
      if (instruction.matches(character)) this.#states[count++] = state + 1;
    }
    return count;
  }

  #isReached(state: number): boolean {
    return this.#reachedAt[state] === this.#step;
  }
}
