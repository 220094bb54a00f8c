import type { UserKey } from "@microlora/store";
import { MicroLoraError } from "microlora";
import { notFound } from "../base/errors.js";
import type { StoredDocument } from "../state/document-codec.js";
import type { DocumentIndex } from "../state/document-index.js";
import type { Home } from "../state/home.js";
import type { Person, Seen } from "../state/people.js";

export interface SearchRequest {
  readonly query: string | Float32Array;
  readonly limit: number;
  /** Which documents count; all of them by default. */
  readonly accepts: ((payload: StoredDocument["payload"]) => boolean) | undefined;
}

export interface Hit {
  readonly id: string;
  readonly score: number;
  readonly text?: string;
  readonly payload?: StoredDocument["payload"];
}

export interface Found {
  /** What feedback names. */
  readonly requestId: string;
  readonly hits: readonly Hit[];
}

/** The documents that suit a person best. @throws ServiceError `not-found` for an index without documents */
export async function searchIndex(
  home: Home,
  index: UserKey,
  person: Person | null,
  { query, limit, accepts }: SearchRequest,
): Promise<Seen<Found>> {
  const vector = typeof query === "string" ? home.embedder.embed(query) : query;
  checkVector(vector, home);
  const filter = accepts && {
    filter: (_: string, beside?: Pick<StoredDocument, "payload">) => accepts(beside?.payload),
  };
  const search = (run: (state: DocumentIndex) => DocumentHits) =>
    home.indexes.with(index, ({ state }) => {
      if (state.embeddings.size === 0) throw notFound("index");
      return run(state);
    });
  const { value, version } =
    person === null
      ? { value: await search(({ embeddings }) => embeddings.search(vector, limit, filter ?? {})), version: 0 }
      : await home.users.with(
          person.key,
          async ({ state: { personalizer }, version }) => ({
            value: await search(({ embeddings }) => personalizer.search(vector, embeddings, limit, filter)),
            version,
          }),
          { minVersion: person.minVersion },
        );
  const hits = value.map(({ id, score, payload }) => ({ id, score, ...payload }));
  const requestId = home.shown.keep({
    tenant: index.tenant,
    user: person?.key.user ?? null,
    index: index.user,
    query,
    shown: hits.map(({ id }) => id),
  });
  return { value: { requestId, hits }, version };
}

type DocumentHits = ReturnType<DocumentIndex["embeddings"]["search"]>;

function checkVector(vector: Float32Array, { embedder }: Home): void {
  if (vector.length !== embedder.dimensions) {
    const problem = `has ${vector.length} numbers, where ${embedder.dimensions} are wanted`;
    throw new MicroLoraError("shape-mismatch", "vector", problem, "Use the embedder of the index");
  }
  if (vector.some((value) => value !== 0) && vector.every(Number.isFinite)) return;
  throw new MicroLoraError(
    "not-finite",
    "query",
    "has no direction",
    "Send a text with words, or a vector that is not zero",
  );
}
