import { FormatError } from "./errors.js";

/** A JSON object whose members are not trusted yet; a map, so that no name is special. */
export type JsonObject = ReadonlyMap<string, unknown>;

const MAX_DEPTH = 64;

/**
 * Reads a JSON object and refuses what `JSON.parse` lets pass: a name that comes twice in one object, and nesting
 * deeper than any file of ours needs. Work and memory are linear in the text.
 * @throws FormatError `bad-header`, `duplicate-name`
 */
export function parseJsonObject(text: string, where: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError("bad-header", where, "is not JSON", "Restore the file from a copy", { cause });
  }
  refuseDuplicates(text, where);
  return jsonObject(value, where);
}

/** The members of a JSON object. @throws FormatError `bad-header` */
export function jsonObject(value: unknown, where: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return new Map(Object.entries(value));
  throw new FormatError("bad-header", where, "is not a JSON object", "Restore the file from a copy");
}

/** The text that bytes are in UTF-8. @throws FormatError `bad-header` */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError("bad-header", where, "is not UTF-8", "Restore the file from a copy", { cause });
  }
}

/** One pass over strings and brackets; the text is known to be JSON. */
function refuseDuplicates(text: string, where: string): void {
  const open: (Set<string> | null)[] = [];
  for (let i = 0; i < text.length; i++) {
    const token = text[i];
    if (token === "{" || token === "[") {
      open.push(token === "{" ? new Set() : null);
      if (open.length > MAX_DEPTH) {
        throw new FormatError("bad-header", where, `nests more than ${MAX_DEPTH} deep`, "Restore the file from a copy");
      }
    } else if (token === "}" || token === "]") {
      open.pop();
    } else if (token === '"') {
      const end = endOfString(text, i);
      if (isName(text, end)) add(open.at(-1), JSON.parse(text.slice(i, end)), where);
      i = end - 1;
    }
  }
}

/** Index after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

/** Whether the string that ends before `end` has a colon behind it. */
function isName(text: string, end: number): boolean {
  let i = end;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++;
  return text[i] === ":";
}

function add(names: Set<string> | null | undefined, name: string, where: string): void {
  if (names?.has(name)) {
    throw new FormatError("duplicate-name", where, `has ${name.slice(0, 80)} twice`, "Write the file again");
  }
  names?.add(name);
}
