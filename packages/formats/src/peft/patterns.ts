import { RE2JS } from "re2js";
import { FormatError, shown } from "../base/errors.js";

/**
 * A function from a module's path to the value of the first pattern that it matches, as PEFT's `get_pattern_key` does:
 * a pattern matches the whole path, or its end after a dot. The patterns come from a file, so they are matched in time
 * linear in the path (RE2), which leaves out look-around and back-references.
 * @throws FormatError `bad-config`
 */
export function patternLookup<T>(patterns: ReadonlyMap<string, T>, where: string): (path: string) => T | undefined {
  const compiled = [...patterns].map(([pattern, value]) => ({ regex: compile(pattern, where), value }));
  return (path) => compiled.find(({ regex }) => regex.matches(path))?.value;
}

function compile(pattern: string, where: string): RE2JS {
  try {
    return RE2JS.compile(`(.*\\.)?(${pattern})`);
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
