import { type Static, Type as T } from "typebox";
import { ServiceError } from "../base/errors.js";
import { type App, type Context, EMBEDDER_NAME } from "../http/context.js";
import { personOf, sayVersion } from "../http/person.js";
import { transformAll } from "../state/people.js";
import { shortened } from "./shortened.js";

const TextSchema = T.String({ minLength: 1, maxLength: 1_000_000 });

/** `CreateEmbeddingRequest` of OpenAI's openapi.yaml. Tokens are those of OpenAI's tokenizer, which this service does not have. */
const Body = T.Object(
  {
    model: T.String({ minLength: 1, maxLength: 600, description: 'microlora, or "microlora:USER"' }),
    input: T.Union([TextSchema, T.Array(TextSchema, { minItems: 1, maxItems: 2048 })]),
    encoding_format: T.Optional(T.Union([T.Literal("float"), T.Literal("base64")])),
    dimensions: T.Optional(T.Integer({ minimum: 1 })),
    user: T.Optional(T.String({ maxLength: 256 })),
  },
  { additionalProperties: false },
);

/** OpenAI's embeddings, as one user means the texts. */
export function addEmbeddings(app: App, context: Context): void {
  app.post(
    "/v1/embeddings",
    { config: { family: "openai", scope: "read" }, schema: { body: Body, tags: ["openai"] } },
    async (request, reply) => {
      const { model, input, encoding_format = "float", dimensions, user } = request.body;
      const person = personOf(request, userOfModel(model), user || undefined);
      const texts = typeof input === "string" ? [input] : input;
      checkBatch(texts.length, context);
      const { embedder } = context.home;
      const queries = texts.map((text) => embedder.embed(text));
      const { value, version } = await transformAll(context.home, person, queries);
      if (person !== null) sayVersion(reply, version);
      const tokens = texts.reduce((sum, text) => sum + countWords(text), 0);
      return {
        object: "list",
        model,
        data: value.map((vector, index) => ({
          object: "embedding",
          index,
          embedding: ENCODE[encoding_format](shortened(vector, dimensions)),
        })),
        usage: { prompt_tokens: tokens, total_tokens: tokens },
      };
    },
  );
}

type EncodingFormat = NonNullable<Static<typeof Body>["encoding_format"]>;

/** base64 is that of little-endian float32, as OpenAI's clients read it. */
const ENCODE: { readonly [K in EncodingFormat]: (vector: Float32Array) => unknown } = {
  float: (vector) => Array.from(vector),
  base64: ({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength).toString("base64"),
};

/** The user in a model's name, `microlora:USER`. @throws ServiceError `not-found` for a model that is not there */
export function userOfModel(model: string, name: string = EMBEDDER_NAME): string | undefined {
  if (model === name) return undefined;
  if (model.startsWith(`${name}:`)) return model.slice(name.length + 1);
  const remedy = `Ask for "${name}" or "${name}:USER"; GET /v1/models lists the models`;
  throw new ServiceError("not-found", "model", "is not there", remedy);
}

export function checkBatch(count: number, { limits }: Context): void {
  if (count <= limits.batch) return;
  throw new ServiceError("too-large", "input", `has ${count} texts`, `Send at most ${limits.batch} at a time`);
}

/** Words and marks, which stand for tokens in `usage`: nobody is billed by them. */
function countWords(text: string): number {
  let count = 0;
  for (const _ of text.matchAll(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu)) count++;
  return count;
}
