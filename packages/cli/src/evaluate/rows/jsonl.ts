import { createInterface } from "node:readline";
import { EvaluateError } from "../evaluate-error.js";
import { byteStream } from "./bytes.js";
import type { FileRow, RowSource } from "./row.js";

const ARRAY = "begins a list";

/** Records whose keys are the columns of the file. */
const PEEKED = 200;

/** JSON Lines: an object on each line; empty lines do not count. */
export async function openJsonLines(path: string, onBytes?: (bytes: number) => void): Promise<RowSource> {
  const columns = new Set<string>();
  let peeked = 0;
  for await (const { line, record, problem } of read(path)) {
    if (record === undefined && line === 1 && problem === ARRAY) {
      throw new EvaluateError(
        "cannot-read",
        path,
        "is one JSON list",
        "Write an object on each line: jq -c '.[]' does",
      );
    }
    if (record === undefined) continue;
    for (const name of Object.keys(record)) columns.add(name);
    if (++peeked >= PEEKED) break;
  }
  return { columns: [...columns], unit: "line", rows: () => read(path, onBytes) };
}

async function* read(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<FileRow> {
  const input = byteStream(path, onBytes);
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  // An error of the stream does not reach the iterator of readline by itself.
  let failure: unknown;
  input.on("error", (error) => {
    failure = error;
    lines.close();
  });
  let line = 0;
  try {
    for await (const text of lines) {
      line++;
      const trimmed = (line === 1 ? text.replace(/^\ufeff/, "") : text).trim();
      if (trimmed !== "") yield rowOf(line, trimmed);
    }
  } finally {
    lines.close();
    if ("destroy" in input && typeof input.destroy === "function") input.destroy();
  }
  if (failure !== undefined) throw failure;
}

function rowOf(line: number, text: string): FileRow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { line, problem: line === 1 && text.startsWith("[") ? ARRAY : "is not JSON" };
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return { line, record: value as Readonly<Record<string, unknown>> };
  }
  return { line, problem: line === 1 && Array.isArray(value) ? ARRAY : "is not a JSON object" };
}
