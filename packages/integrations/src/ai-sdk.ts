import type { Embedder, PersonalQueries } from "@microlora/search";

/** The parts of the AI SDK's `EmbeddingModelV3` that are used here. */
export interface AiSdkEmbeddingModel {
  /** Version of the AI SDK's contract. */
  readonly specificationVersion: "v3";
  /** Name of the provider. */
  readonly provider: string;
  /** Name of the model. */
  readonly modelId: string;
  /** Texts that one call takes at most. */
  readonly maxEmbeddingsPerCall: number | undefined | PromiseLike<number | undefined>;
  /** Whether several calls may run at once. */
  readonly supportsParallelCalls: boolean | PromiseLike<boolean>;
  /** Embeds texts, as the AI SDK asks for it. */
  doEmbed(options: CallOptions): PromiseLike<EmbedResult>;
}

interface CallOptions {
  readonly values: string[];
  // biome-ignore lint/suspicious/noExplicitAny: what the AI SDK declares is JSON of any shape, whose fields are checked here.
  readonly providerOptions?: Record<string, any>;
}

interface EmbedResult {
  embeddings: number[][];
  usage?: { tokens: number };
  // biome-ignore lint/suspicious/noExplicitAny: as `providerOptions`.
  providerMetadata?: Record<string, any>;
  warnings: never[];
}

/** An embedder of `@microlora/embed`, or any object like it. */
export interface LocalEmbedder {
  /** Tells this embedder from others. */
  readonly fingerprint?: string;
  /** A unit vector for each text. */
  embedBatch(texts: readonly string[]): readonly Float32Array[];
}

/** An embedder as a model of the AI SDK: `embed({ model: embeddingModel(await loadEmbedder()), value })`. */
export function embeddingModel(embedder: LocalEmbedder): AiSdkEmbeddingModel {
  return {
    specificationVersion: "v3",
    provider: "microlora",
    modelId: embedder.fingerprint ?? "embedder",
    maxEmbeddingsPerCall: Number.POSITIVE_INFINITY,
    supportsParallelCalls: true,
    async doEmbed({ values }) {
      return { embeddings: embedder.embedBatch(values).map((vector) => [...vector]), warnings: [] };
    },
  };
}

/**
 * Middleware that personalises the queries of any embedding model, hosted or not, for `wrapEmbeddingModel`.
 *
 * A call with `providerOptions: { microlora: { user, id } }` is of queries of this user: the vectors come back personalised, and the raw ones
 * are kept in `queries` under `id` (of several texts, `id/0`, `id/1`, …) until `queries.learn(id, …)`. Without an `id` there is a random one. The
 * ids are in `providerMetadata.microlora.ids`. A call without these options, such as one that embeds documents, is left as it is.
 * @throws SearchError as `PersonalQueries.transform`
 */
export function personalEmbeddings(queries: PersonalQueries) {
  return {
    specificationVersion: "v3" as const,
    async wrapEmbed({
      doEmbed,
      params,
    }: {
      // biome-ignore lint/suspicious/noExplicitAny: the AI SDK's own result goes through, whatever it has beside the vectors.
      doEmbed: () => PromiseLike<any>;
      params: CallOptions;
    }) {
      const result = await doEmbed();
      const options: unknown = params.providerOptions?.microlora;
      if (typeof options !== "object" || options === null || !("user" in options)) return result;
      const { user, id } = options as { readonly user: string; readonly id?: string };
      const isOne = params.values.length === 1;
      const moved = await Promise.all(
        params.values.map((text, i) => {
          const own = id === undefined || isOne ? id : `${id}/${i}`;
          return queries.transform(result.embeddings[i], { user, text, ...(own !== undefined && { id: own }) });
        }),
      );
      const ids = moved.map((each) => each.id);
      const embeddings = moved.map(({ vector }) => [...vector]);
      return { ...result, embeddings, providerMetadata: { ...result.providerMetadata, microlora: { ids } } };
    },
  };
}

/** A model of the AI SDK as the embedder of a `PersonalSearch`. */
export function aiSdkEmbedder(model: {
  readonly provider: string;
  readonly modelId: string;
  doEmbed(options: { values: string[] }): PromiseLike<{ embeddings: number[][] }>;
}): Embedder {
  return {
    fingerprint: `${model.provider} ${model.modelId}`,
    async embedBatch(texts) {
      const { embeddings } = await model.doEmbed({ values: [...texts] });
      return embeddings;
    },
  };
}
