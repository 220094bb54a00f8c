import { closeSync, createReadStream, openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { type DocumentRole, documentColumns } from "./columns.js";
import { EvaluateError } from "./evaluate-error.js";
import { Mistakes } from "./mistakes.js";
import type { EvaluateOptions } from "./options.js";
import { openRows } from "./rows/open.js";
import { cellOf, hasDirection, idOf, vectorOf } from "./values.js";

/** What is known of a document. */
export interface Document {
  readonly text?: string;
  /** What it is looked for by; by default the first words of its text. */
  readonly name?: string;
  readonly vector?: Float32Array;
}

/** As a line of the file keeps it. */
type Line = readonly [text: string | null, name: string | null, vector: string | null];

/** Documents by id, in a file in the order of their rows, so that only ids are in memory. */
export class Documents {
  readonly #rows = new Map<string, number>();
  readonly #path: string;
  readonly #file: number;
  #buffer: string[] = [];
  #width: number | null = null;
  /** Whether they have vectors instead of texts; null before the first one. */
  areVectors: boolean | null = null;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, "w");
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Width of the vectors; null where documents are texts. */
  get width(): number | null {
    return this.#width;
  }

  rowOf(id: string): number | undefined {
    return this.#rows.get(id);
  }

  /** Adds a document that is not there yet. @returns why it cannot be */
  add(id: string, { text, name, vector }: Document): string | undefined {
    if (this.#rows.has(id)) return "the id is there already";
    this.areVectors ??= vector !== undefined;
    if (this.areVectors) {
      if (vector === undefined) return "has no vector, and others have one";
      this.#width ??= vector.length;
      if (vector.length !== this.#width) return "the vector is wider or narrower than the first one";
      if (!hasDirection(vector)) return "the vector is zero or not finite";
    } else if (text === undefined) return "has no text, and others have one";
    this.#rows.set(id, this.#rows.size);
    const line: Line = [text ?? null, name ?? null, vector === undefined ? null : encodeVector(vector)];
    this.#buffer.push(JSON.stringify(line));
    if (this.#buffer.length >= 1024) this.#flush();
    return undefined;
  }

  /** No document comes any more. */
  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    if (this.#buffer.length === 0) return;
    writeSync(this.#file, `${this.#buffer.join("\n")}\n`);
    this.#buffer = [];
  }

  /** The documents of some rows, in the order of rows. */
  async *read(isWanted: (row: number) => boolean): AsyncGenerator<readonly [row: number, document: Document]> {
    let row = 0;
    for await (const line of createInterface({ input: createReadStream(this.#path), crlfDelay: 0 })) {
      if (isWanted(row)) yield [row, documentOf(JSON.parse(line))];
      row++;
    }
  }
}

function documentOf([text, name, vector]: Line): Document {
  return {
    ...(text !== null && { text }),
    ...(name !== null && { name }),
    ...(vector !== null && { vector: decodeVector(vector) }),
  };
}

export function encodeVector({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

export function decodeVector(text: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
}

/**
 * Reads the file of documents.
 * @returns the rows that are mistaken
 * @throws EvaluateError `wrong-documents` where no row is a document
 */
export async function readDocuments(
  path: string,
  options: Pick<EvaluateOptions, "documentColumns">,
  documents: Documents,
  onShare: (share: number) => void,
): Promise<Mistakes> {
  const source = await openRows(path, undefined, onShare);
  const columns = documentColumns(path, source.columns, options.documentColumns);
  const mistakes = new Mistakes(source.unit);
  const joined = (record: Readonly<Record<string, unknown>>, role: DocumentRole) => {
    const parts = columns[role]?.flatMap((name) => textsOf(cellOf(record[name]))) ?? [];
    return parts.length === 0 ? undefined : parts.join(". ");
  };
  for await (const { line, record, problem } of source.rows()) {
    if (record === undefined) {
      mistakes.add(line, problem);
      continue;
    }
    const id = idOf(cellOf(record[columns.id![0]!]));
    if (id === undefined) {
      mistakes.add(line, "has no id");
      continue;
    }
    const cell = columns.vector === undefined ? undefined : cellOf(record[columns.vector[0]!]);
    const vector = cell === undefined ? undefined : vectorOf(cell);
    const text = joined(record, "text");
    const name = joined(record, "name");
    const refused =
      cell !== undefined && vector === undefined
        ? "the vector is not a list of numbers"
        : documents.add(id, {
            ...(text !== undefined && { text }),
            ...(name !== undefined && { name }),
            ...(vector !== undefined && { vector }),
          });
    if (refused !== undefined) mistakes.add(line, refused, id);
  }
  if (documents.size > 1) return mistakes;
  const problem = mistakes.count === 0 ? "has no rows" : `has no documents: ${mistakes.first()}`;
  throw new EvaluateError(
    "wrong-documents",
    path,
    problem,
    "Pass a file with an id and a text, or a vector, in each row",
  );
}

/** A cell as words: MovieLens joins genres by |. */
function textsOf(value: unknown): string[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return [value.map(String).join(", ")];
  return typeof value === "object" ? [] : [String(value).replaceAll("|", ", ")];
}
