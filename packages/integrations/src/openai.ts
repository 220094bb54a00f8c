import type { Embedder, PersonalQueries } from "@microlora/search";

/** The part of a client of the OpenAI SDK that is used here; clients of servers with the same API fit too. */
export interface OpenAiClient {
  /** The client's embeddings. */
  readonly embeddings: {
    create(body: { model: string; input: string[]; encoding_format: "float" }): PromiseLike<{
      data: readonly { readonly index: number; readonly embedding: readonly number[] }[];
    }>;
  };
}

/** A model behind the OpenAI SDK as the embedder of a `PersonalSearch`. */
export function openAiEmbedder(client: OpenAiClient, model: string): Embedder {
  return {
    fingerprint: model,
    async embedBatch(texts) {
      const { data } = await client.embeddings.create({ model, input: [...texts], encoding_format: "float" });
      return [...data].sort((a, b) => a.index - b.index).map(({ embedding }) => [...embedding]);
    },
  };
}

/** Options of the server's side. */
export interface ServerOptions {
  /** What embeds the texts. */
  readonly embedder: {
    readonly fingerprint?: string;
    embedBatch(texts: readonly string[]): readonly Float32Array[] | Promise<readonly Float32Array[]>;
  };
  /** Personalises requests that name a `user`; their ids are in the header `x-microlora-queries`, with commas between. */
  readonly queries?: PersonalQueries;
}

interface Body {
  readonly input?: unknown;
  readonly encoding_format?: unknown;
  readonly user?: unknown;
  readonly model?: unknown;
}

/**
 * `POST /v1/embeddings` of the OpenAI API over an embedder, as a function from a request to a response, which Node with Hono, Deno, Bun, Next and
 * workers all serve. The OpenAI SDK talks to it by its `baseURL`.
 */
export function embeddingsEndpoint({ embedder, queries }: ServerOptions): (request: Request) => Promise<Response> {
  return async (request) => {
    const body: Body | null = await request.json().catch(() => null);
    const { input, encoding_format: format = "float", user, model } = Object(body) as Body;
    const texts = typeof input === "string" ? [input] : input;
    const isTexts = Array.isArray(texts) && texts.length > 0 && texts.every((each) => typeof each === "string");
    if (!isTexts) return refused("`input` must be a text, or a list of texts");
    if (format !== "float" && format !== "base64") return refused("`encoding_format` must be float or base64");
    if (user !== undefined && typeof user !== "string") return refused("`user` must be a text");
    let vectors: readonly Float32Array[] = await embedder.embedBatch(texts);
    const headers = new Headers();
    if (user !== undefined && queries !== undefined) {
      const moved = await Promise.all(vectors.map((each, i) => queries.transform(each, { user, text: texts[i]! })));
      vectors = moved.map(({ vector }) => vector);
      headers.set("x-microlora-queries", moved.map(({ id }) => id).join());
    }
    const data = vectors.map((vector, index) => {
      return { object: "embedding", index, embedding: format === "float" ? [...vector] : base64(vector) };
    });
    const usage = { prompt_tokens: 0, total_tokens: 0 };
    const named = typeof model === "string" ? model : (embedder.fingerprint ?? "microlora");
    return Response.json({ object: "list", data, model: named, usage }, { headers });
  };
}

/** Little-endian float32 as base64, which the OpenAI SDK asks for unless it is told otherwise. */
function base64(vector: Float32Array): string {
  const view = new DataView(new ArrayBuffer(4 * vector.length));
  for (const [i, value] of vector.entries()) view.setFloat32(4 * i, value, true);
  let text = "";
  for (let i = 0; i < view.byteLength; i++) text += String.fromCharCode(view.getUint8(i));
  return btoa(text);
}

function refused(message: string): Response {
  const error = { message, type: "invalid_request_error", param: null, code: null };
  return Response.json({ error }, { status: 400 });
}
