import { RE2JS } from "re2js";
import { FormatError, shown } from "../base/errors.js";

/** Steps of about half a microsecond that compiling and matching all patterns of a file may take. */
const MAX_STEPS = 4_000_000;
/** Names without operators, which most patterns are; a dot stands for itself and more. */
const PLAIN = /^[\w.-]+$/;

interface Pattern {
  readonly matches: (path: string) => boolean;
  /** Of one match. */
  readonly steps: number;
}

/**
 * A function from a module's path to the value of the first pattern that it matches, as PEFT's `get_pattern_key` does:
 * a pattern matches the whole path, or its end after a dot. The patterns come from a file, so they are matched in time
 * linear in the path (RE2), which leaves out look-around and back-references, and no more steps are taken than a large
 * model's adapter needs.
 * @throws FormatError `bad-config`, `too-large`
 */
export function patternLookup<T>(patterns: ReadonlyMap<string, T>, where: string): (path: string) => T | undefined {
  let left = MAX_STEPS;
  const spend = (steps: number) => {
    left -= steps;
    if (left < 0) throw new FormatError("too-large", where, "takes too many steps to match", "Use fewer patterns");
  };
  for (const pattern of patterns.keys()) spend(PLAIN.test(pattern) ? 1 : 20 * sizeOf(pattern));
  const compiled = [...patterns].map(([pattern, value]) => ({ ...compile(pattern, where), value }));
  return (path) =>
    compiled.find(({ matches, steps }) => {
      spend(steps);
      return matches(path);
    })?.value;
}

function compile(pattern: string, where: string): Pattern {
  if (PLAIN.test(pattern)) {
    const plain = new RegExp(`^(?:.*\\.)?${pattern}$`);
    return { matches: (path) => plain.test(path), steps: 1 };
  }
  try {
    const regex = RE2JS.compile(`(.*\\.)?(${pattern})`);
    return { matches: (path) => regex.matches(path), steps: 50 + sizeOf(pattern) };
  } catch (cause) {
    throw new FormatError(
      "bad-config",
      where,
      `has the pattern ${shown(pattern)}, which is not understood`,
      "Name the modules by their paths",
      { cause },
    );
  }
}

/** How long a pattern is once counted repetitions, of which RE2 allows a thousand at most, are written out. */
function sizeOf(pattern: string): number {
  let repeated = 1;
  for (const [, least, most] of pattern.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) repeated *= Number(most || least) || 1;
  return pattern.length * Math.min(repeated, 1000);
}
