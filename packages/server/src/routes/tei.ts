import { Type as T } from "typebox";
import { ServiceError } from "../base/errors.js";
import { type App, type Context, EMBEDDER_NAME } from "../http/context.js";
import { personOf, sayVersion } from "../http/person.js";
import { transformAll } from "../state/people.js";
import { checkBatch } from "./embeddings.js";
import { shortened } from "./shortened.js";

const TextSchema = T.String({ minLength: 1, maxLength: 1_000_000 });
const TextsSchema = T.Array(TextSchema, { minItems: 1, maxItems: 2048 });
const UserSchema = T.Optional(T.String({ minLength: 1, maxLength: 256 }));

/** `EmbedRequest` of TEI's docs/openapi.json. Vectors have unit length and texts are cut, whatever is asked for. */
const EmbedBody = T.Object(
  {
    inputs: T.Union([TextSchema, TextsSchema]),
    normalize: T.Optional(T.Literal(true)),
    truncate: T.Optional(T.Union([T.Boolean(), T.Null()])),
    truncation_direction: T.Optional(T.Literal("Right")),
    prompt_name: T.Optional(T.Null()),
    dimensions: T.Optional(T.Union([T.Integer({ minimum: 1 }), T.Null()])),
    user: UserSchema,
  },
  { additionalProperties: false },
);

/** TEI's `RerankRequest`, and Cohere's, which has `documents` instead of `texts`. */
const RerankBody = T.Object(
  {
    query: TextSchema,
    texts: T.Optional(TextsSchema),
    raw_scores: T.Optional(T.Boolean()),
    return_text: T.Optional(T.Boolean()),
    truncate: T.Optional(T.Union([T.Boolean(), T.Null()])),
    truncation_direction: T.Optional(T.Literal("Right")),
    documents: T.Optional(
      T.Array(T.Union([TextSchema, T.Object({ text: TextSchema })]), { minItems: 1, maxItems: 2048 }),
    ),
    top_n: T.Optional(T.Integer({ minimum: 1 })),
    return_documents: T.Optional(T.Boolean()),
    model: T.Optional(T.String({ maxLength: 600 })),
    user: UserSchema,
  },
  { additionalProperties: false },
);

/** Routes of text-embeddings-inference, for one user where one is named. */
export function addTei(app: App, context: Context): void {
  const config = { family: "tei", scope: "read" } as const;
  const { home, limits } = context;
  app.post("/embed", { config, schema: { body: EmbedBody, tags: ["tei"] } }, async (request, reply) => {
    const { inputs, dimensions, user } = request.body;
    const texts = typeof inputs === "string" ? [inputs] : inputs;
    checkBatch(texts.length, context);
    const person = personOf(request, user);
    const queries = texts.map((text) => home.embedder.embed(text));
    const { value, version } = await transformAll(home, person, queries);
    if (person !== null) sayVersion(reply, version);
    return value.map((vector) => Array.from(shortened(vector, dimensions ?? undefined)));
  });

  app.post("/rerank", { config, schema: { body: RerankBody, tags: ["tei"] } }, async (request, reply) => {
    const { query, texts, documents, user, top_n, raw_scores = false } = request.body;
    const told = texts ?? documents?.map((each) => (typeof each === "string" ? each : each.text));
    if (told === undefined || (texts !== undefined && documents !== undefined)) {
      throw new ServiceError("invalid-body", "texts", "or `documents` are needed", "Send one of the two");
    }
    checkBatch(told.length, context);
    const person = personOf(request, user);
    const { value, version } = await transformAll(home, person, [home.embedder.embed(query)]);
    if (person !== null) sayVersion(reply, version);
    const ranked = rank(
      value[0]!,
      told.map((text) => home.embedder.embed(text)),
    );
    const { return_text, return_documents } = request.body;
    if (texts !== undefined) {
      const scored = raw_scores ? ranked : ranked.map(({ index, score }) => ({ index, score: share(score) }));
      return scored.map((each) => ({ ...each, ...(return_text && { text: told[each.index] }) }));
    }
    const results = ranked.slice(0, top_n).map(({ index, score }) => ({
      index,
      relevance_score: share(score),
      ...(return_documents && { document: { text: told[index] } }),
    }));
    return { id: request.id, results };
  });

  app.get("/info", { config, schema: { tags: ["tei"] } }, async () => ({
    model_id: EMBEDDER_NAME,
    model_sha: null,
    model_dtype: "int8",
    model_type: { embedding: { pooling: "mean" } },
    max_concurrent_requests: limits.requestsAtOnce,
    max_input_length: 512,
    max_client_batch_size: limits.batch,
    version: home.embedder.fingerprint,
  }));

  app.get("/health", { config: { family: "tei", scope: null }, schema: { tags: ["tei"] } }, async (_, reply) => {
    if (!context.isReady()) reply.code(503);
    return reply.send();
  });
}

/** Documents by their cosine to the query, the best first. */
function rank(query: Float32Array, vectors: readonly Float32Array[]) {
  const scored = vectors.map((vector, index) => ({ index, score: cosine(query, vector) }));
  return scored.sort((a, b) => b.score - a.score || a.index - b.index);
}

/** Both are of unit length, or zero. */
function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** A cosine as a number in [0, 1]. */
function share(score: number): number {
  return Math.min(1, Math.max(0, (1 + score) / 2));
}
