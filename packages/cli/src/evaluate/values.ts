/** A cell as JSON has it: text that holds a JSON list or object is read; empty text is nothing. */
export function cellOf(value: unknown): unknown {
  if (value === null || value === undefined || value === "") return undefined;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value !== "string") return value;
  const text = value.trim();
  if (text === "") return undefined;
  if (!/^[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A list of numbers as a vector; undefined for anything else. */
export function vectorOf(value: unknown): Float32Array | undefined {
  if (value instanceof Float32Array) return value;
  const isList = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
  if (!isList) return undefined;
  const list = Array.from(value as ArrayLike<unknown>);
  // A list of one or two numbers is a list of ids sooner than an embedding.
  if (list.length < 3 || !list.every((each) => typeof each === "number")) return undefined;
  return Float32Array.from(list as number[]);
}

/** Whether a vector says something: it is finite and has a length. */
export function hasDirection(vector: Float32Array): boolean {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Number.isFinite(sum) && sum > 0;
}

/** An id as text; undefined for what cannot be one. */
export function idOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  return undefined;
}

/** A list of cells: a JSON list, or text that is divided by | or ;. */
export function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value === "string" && /[|;]/.test(value)) {
    return value
      .split(/[|;]/)
      .map((each) => each.trim())
      .filter((each) => each !== "");
  }
  return [value];
}

/** Seconds, milliseconds, or any other number that grows; a date as text in milliseconds. undefined for what is neither. */
export function timeOf(value: unknown): number | undefined {
  if (value instanceof Date) return finite(value.getTime());
  const number = numberOf(value);
  if (number !== undefined) return number;
  return typeof value === "string" ? finite(Date.parse(value)) : undefined;
}

export function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return finite(value);
  if (typeof value === "bigint") return Number(value);
  return typeof value === "string" && value.trim() !== "" ? finite(Number(value)) : undefined;
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
