import type { Embedder, HitReference, PersonalHit, PersonalSearch, SearchRequest } from "@microlora/search";
import type { DocumentId } from "microlora";

/** The `EmbeddingsInterface` of LangChain.js, which its vector stores take. */
export interface LangChainEmbeddings {
  /** A vector for each text. */
  embedDocuments(texts: string[]): Promise<number[][]>;
  /** The vector of one text. */
  embedQuery(text: string): Promise<number[]>;
}

/** An embedder as `Embeddings` of LangChain.js. @param embedder of `@microlora/embed`, or any object like it */
export function embeddings(embedder: {
  embed(text: string): Float32Array;
  embedBatch(texts: readonly string[]): readonly Float32Array[];
}): LangChainEmbeddings {
  return {
    embedDocuments: async (texts) => embedder.embedBatch(texts).map((vector) => [...vector]),
    embedQuery: async (text) => [...embedder.embed(text)],
  };
}

/** `Embeddings` of LangChain.js as the embedder of a `PersonalSearch`. @param fingerprint the name of their model */
export function langChainEmbedder(given: LangChainEmbeddings, fingerprint: string): Embedder {
  return {
    fingerprint,
    embed: (text) => given.embedQuery(text),
    embedBatch: (texts) => given.embedDocuments([...texts]),
  };
}

/** A document of LangChain.js, whose metadata `click` finds it by. */
export interface HitDocument<Id extends DocumentId> {
  /** The document's text. */
  readonly pageContent: string;
  /** What the document has beside its text; `microlora` refers to the hit, for feedback. */
  readonly metadata: Record<string, unknown> & { readonly microlora: HitReference<Id> };
}

/** Options of `personalRetriever`. */
export interface RetrieverOptions<Id extends DocumentId, Payload, Filter> extends SearchRequest<Filter> {
  /** What is searched. */
  readonly search: PersonalSearch<Id, Payload, Filter>;
  /** The text of a hit; its payload if that is a string, else its id. */
  readonly textOf?: (hit: PersonalHit<Id, Payload>) => string;
}

/** What a retriever of `personalRetriever` has beside those of LangChain.js. */
export interface Feedback<Id extends DocumentId> {
  /** Learns that a document that was retrieved was used. */
  click(document: { readonly metadata: Record<string, unknown> }): Promise<void>;
  /** Learns how good a document was, from -1 to 1. */
  rate(document: { readonly metadata: Record<string, unknown> }, rating: number): Promise<void>;
  /** The hit of a document. */
  hitOf(document: { readonly metadata: Record<string, unknown> }): HitReference<Id>;
}

/**
 * A retriever of LangChain.js over a `PersonalSearch`, with feedback: it goes into chains like any other.
 * @param BaseRetriever the class of `@langchain/core/retrievers`, which is handed in so that this package needs no LangChain.js
 */
export function personalRetriever<Base extends object, Id extends DocumentId, Payload, Filter>(
  BaseRetriever: abstract new (fields?: never) => Base,
  { search, textOf = textOfHit, ...request }: RetrieverOptions<Id, Payload, Filter>,
): Base & Feedback<Id> {
  const hitOf = ({ metadata }: { readonly metadata: Record<string, unknown> }) =>
    metadata.microlora as HitReference<Id>;
  class PersonalRetriever extends (BaseRetriever as unknown as new () => object) {
    readonly lc_namespace = ["microlora", "retrievers"];

    async _getRelevantDocuments(query: string): Promise<HitDocument<Id>[]> {
      const hits = await search.search(query, request as SearchRequest<Filter>);
      return hits.map((hit) => {
        const { id, score, payload, search: of } = hit;
        const own = typeof payload === "object" && payload !== null ? payload : {};
        return { pageContent: textOf(hit), metadata: { ...own, score, microlora: { search: of, id } } };
      });
    }

    readonly hitOf = hitOf;

    async click(document: { readonly metadata: Record<string, unknown> }): Promise<void> {
      await search.click(hitOf(document));
    }

    async rate(document: { readonly metadata: Record<string, unknown> }, rating: number): Promise<void> {
      await search.rate(hitOf(document), rating);
    }
  }
  return new PersonalRetriever() as unknown as Base & Feedback<Id>;
}

function textOfHit({ id, payload }: PersonalHit): string {
  return typeof payload === "string" ? payload : String(id);
}
