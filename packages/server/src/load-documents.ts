import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ServiceError } from "./base/errors.js";
import { parseStrictJson } from "./base/strict-json.js";
import { type NewDocument, putDocuments } from "./routes/indexes.js";
import type { Home } from "./state/home.js";

/** The index that they go into, of the tenant of a service without keys. */
const INDEX = "documents";
const TENANT = "default";
/** Documents of one event. */
const CHUNK = 1000;

/**
 * Puts the documents of a file into the index `documents`. The same file is put once: the event that holds a part of it has the hash of the
 * part as its id.
 * @throws ServiceError `invalid-option` for a line that is no document
 */
export async function loadDocuments(home: Home, path: string): Promise<void> {
  const lines = (await readFile(path, "utf8")).split(/\r?\n/).filter((line) => line.trim() !== "");
  for (let from = 0; from < lines.length; from += CHUNK) {
    const part = lines.slice(from, from + CHUNK);
    const documents = part.map((line, i) => documentOf(line, from + i + 1));
    const hash = createHash("sha256").update(part.join("\n")).digest("hex");
    const { results } = await putDocuments(home, TENANT, INDEX, documents, `file ${hash}`);
    const refused = results.findIndex(({ status }) => status === "refused");
    if (refused < 0) continue;
    const { detail } = results[refused] as { readonly detail: string };
    throw new ServiceError("invalid-option", `${path}: line ${from + refused + 1}`, detail, "Correct the file");
  }
}

function documentOf(line: string, number: number): NewDocument {
  if (!line.startsWith("{")) return { id: line.slice(0, 64).trim() || `line ${number}`, text: line };
  const { id, text, vector, payload } = parseStrictJson(Buffer.from(line), `line ${number}`) as NewDocument;
  return {
    id: id === undefined ? `line ${number}` : String(id),
    ...(text !== undefined && { text }),
    ...(vector !== undefined && { vector }),
    ...(payload !== undefined && { payload }),
  };
}
