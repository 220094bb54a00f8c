import { randomUUID } from "node:crypto";
import { userKey } from "@microlora/store";
import { type Static, Type as T } from "typebox";
import { notFound, ServiceError } from "../base/errors.js";
import { checkName } from "../base/names.js";
import type { App, Context } from "../http/context.js";
import { personOf, sayVersion } from "../http/person.js";
import { encodeDocuments, type StoredDocument } from "../state/document-codec.js";
import { NameSchema, VectorSchema } from "../state/feedback-event.js";
import type { Home } from "../state/home.js";
import { type Filter, FilterSchema, matches } from "./filter.js";
import { searchIndex } from "./search.js";

const DocumentSchema = T.Object(
  {
    id: NameSchema,
    text: T.Optional(T.String({ minLength: 1, maxLength: 100_000 })),
    vector: T.Optional(VectorSchema),
    payload: T.Optional(T.Record(T.String(), T.Unknown())),
  },
  { additionalProperties: false },
);
export type NewDocument = Static<typeof DocumentSchema>;

const MAX_DOCUMENTS = 1000;
const DocumentsSchema = T.Array(DocumentSchema, { minItems: 1, maxItems: MAX_DOCUMENTS });
/** An object, or NDJSON, a document on each line. */
const PutBody = T.Union([T.Object({ documents: DocumentsSchema }, { additionalProperties: false }), DocumentsSchema]);
const IndexParams = T.Object({ index: NameSchema });
const DocumentParams = T.Object({ index: NameSchema, id: NameSchema });
const SearchBody = T.Object(
  {
    query: T.Optional(T.String({ minLength: 1, maxLength: 100_000 })),
    vector: T.Optional(VectorSchema),
    user: T.Optional(NameSchema),
    limit: T.Optional(T.Integer({ minimum: 1, maximum: 1000 })),
    filter: T.Optional(FilterSchema),
    with: T.Optional(T.Array(T.Union([T.Literal("text"), T.Literal("payload")]), { maxItems: 2 })),
  },
  { additionalProperties: false },
);

/** Documents, and searches that learn. */
export function addIndexes(app: App, context: Context): void {
  const { home } = context;
  const tags = ["indexes"];
  const feedback = { scope: "feedback" } as const;
  const read = { scope: "read" } as const;

  app.put(
    "/v1/indexes/:index/documents",
    { config: feedback, schema: { params: IndexParams, body: PutBody, tags } },
    async ({ params, body, caller }) => {
      const documents = Array.isArray(body) ? body : body.documents;
      return putDocuments(home, caller.tenant, params.index, documents);
    },
  );

  app.get(
    "/v1/indexes/:index/documents/:id",
    { config: read, schema: { params: DocumentParams, tags } },
    async ({ params: { index, id }, caller }) => {
      const key = indexKey(caller.tenant, index);
      const document = await home.indexes.with(key, ({ state }) => state.documentOf(id));
      if (document === undefined) throw notFound("document");
      return { ...document, vector: Array.from(document.vector) };
    },
  );

  app.delete(
    "/v1/indexes/:index/documents/:id",
    { config: feedback, schema: { params: DocumentParams, tags } },
    async ({ params: { index, id }, caller }, reply) => {
      const isThere = await home.indexes.with(indexKey(caller.tenant, index), (turn) => {
        if (!turn.state.embeddings.has(id)) return false;
        const payload = new TextEncoder().encode(id);
        turn.commit({ id: `remove ${randomUUID()}`, kind: "remove", payload, source: NOTHING, answer: "" });
        return true;
      });
      if (!isThere) throw notFound("document");
      return reply.code(204).send();
    },
  );

  app.delete(
    "/v1/indexes/:index",
    { config: feedback, schema: { params: IndexParams, tags } },
    async ({ params, caller }) => {
      const receipt = await home.indexes.erase(indexKey(caller.tenant, params.index));
      if (!receipt.existed) throw notFound("index");
      return receipt;
    },
  );

  app.post(
    "/v1/indexes/:index/search",
    { config: read, schema: { params: IndexParams, body: SearchBody, tags } },
    async (request, reply) => {
      const { query, vector, user, limit = 10, filter, with: wanted = ["payload"] } = request.body;
      const person = personOf(request, user);
      const key = indexKey(request.caller.tenant, request.params.index);
      const accepts = filter && ((payload: StoredDocument["payload"]) => matches(filter as Filter, payload));
      const { value, version } = await searchIndex(home, key, person, {
        query: oneQuery(query, vector),
        limit,
        accepts,
      });
      if (person !== null) sayVersion(reply, version);
      return {
        request_id: value.requestId,
        hits: value.hits.map(({ id, score, text, payload }) => ({
          id,
          score,
          ...(wanted.includes("text") && text !== undefined && { text }),
          ...(wanted.includes("payload") && payload !== undefined && { payload }),
        })),
        version,
      };
    },
  );
}

const NOTHING = new Uint8Array(0);

function indexKey(tenant: string, index: string) {
  return userKey(tenant, checkName(index, "index"));
}

function oneQuery(query: string | undefined, vector: readonly number[] | undefined): string | Float32Array {
  if ((query === undefined) === (vector === undefined)) {
    throw new ServiceError("invalid-body", "query", "or `vector` is needed", "Send one of the two");
  }
  return query ?? Float32Array.from(vector!);
}

type PutResult =
  | { readonly id: string; readonly status: "stored" }
  | { readonly id: string; readonly status: "refused"; readonly code: string; readonly detail: string };

/** Stores the documents that are whole, in one commit, and says of each what became of it. */
export async function putDocuments(
  home: Home,
  tenant: string,
  index: string,
  documents: readonly NewDocument[],
  eventId = `put ${randomUUID()}`,
): Promise<{ readonly results: readonly PutResult[]; readonly version: number }> {
  const key = indexKey(tenant, index);
  const read = documents.map((document) => readDocument(home, document));
  const whole = read.filter((each): each is StoredDocument => "vector" in each);
  const version = await home.indexes.with(key, (turn) => {
    if (whole.length === 0) return turn.version;
    const payload = encodeDocuments(whole, home.embedder.dimensions);
    turn.commit({ id: eventId, kind: "put", payload, source: NOTHING, answer: "" });
    return turn.version;
  });
  return { results: read.map((each) => ("vector" in each ? { id: each.id, status: "stored" } : each)), version };
}

function readDocument({ embedder }: Home, { id, text, vector, payload }: NewDocument): StoredDocument | PutResult {
  const refuse = (detail: string): PutResult => ({ id, status: "refused", code: "invalid-document", detail });
  try {
    checkName(id, "id");
  } catch (error) {
    return refuse((error as ServiceError).message);
  }
  if (text === undefined && vector === undefined) return refuse("text or vector is needed. Send one of the two.");
  if (vector !== undefined && vector.length !== embedder.dimensions) {
    return refuse(`vector has ${vector.length} numbers. Send ${embedder.dimensions}.`);
  }
  const embedded = vector === undefined ? embedder.embed(text!) : Float32Array.from(vector);
  if (!isDirection(embedded)) return refuse("its vector is zero or too large. Send a text with words, or a vector.");
  return {
    id,
    vector: embedded,
    ...(text !== undefined && { text }),
    ...(payload !== undefined && { payload: payload as Record<string, unknown> }),
  };
}

function isDirection(vector: Float32Array): boolean {
  return vector.every(Number.isFinite) && vector.some((value) => value !== 0);
}
