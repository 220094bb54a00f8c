import type { Embedder, HitReference, PersonalHit, PersonalSearch, SearchRequest } from "@microlora/search";
import type { DocumentId } from "microlora";

/**
 * An embedder as an embedding of LlamaIndex.TS, for `Settings.embedModel`.
 * @param BaseEmbedding the class of `@llamaindex/core/embeddings`, which is handed in so that this package needs no LlamaIndex.TS
 */
export function textEmbedding<Base extends object>(
  BaseEmbedding: { readonly prototype: Base },
  embedder: { embed(text: string): Float32Array; embedBatch(texts: readonly string[]): readonly Float32Array[] },
): Base {
  class LocalEmbedding extends (BaseEmbedding as unknown as new () => object) {
    readonly getTextEmbeddings = async (texts: string[]) => embedder.embedBatch(texts).map((vector) => [...vector]);

    async getTextEmbedding(text: string): Promise<number[]> {
      return [...embedder.embed(text)];
    }
  }
  return new LocalEmbedding() as unknown as Base;
}

/** An embedding of LlamaIndex.TS as the embedder of a `PersonalSearch`. @param fingerprint the name of its model */
export function llamaIndexEmbedder(
  given: { getTextEmbeddings: (texts: string[]) => Promise<number[][]> },
  fingerprint: string,
): Embedder {
  return { fingerprint, embedBatch: (texts) => given.getTextEmbeddings([...texts]) };
}

/** Options of the retriever. */
export interface RetrieverOptions<Id extends DocumentId, Payload, Filter, Node> extends SearchRequest<Filter> {
  /** What is searched. */
  readonly search: PersonalSearch<Id, Payload, Filter>;
  /** The node of a hit, such as `new TextNode({ id_: hit.id, text: hit.payload })`. */
  readonly nodeOf: (hit: PersonalHit<Id, Payload>) => Node;
}

/**
 * A retriever of LlamaIndex.TS over a `PersonalSearch`, with feedback: query and chat engines take it.
 * @param BaseRetriever the class of `@llamaindex/core/retriever`, handed in
 */
export function personalRetriever<Base extends object, Id extends DocumentId, Payload, Filter, Node extends object>(
  BaseRetriever: { readonly prototype: Base },
  { search, nodeOf, ...request }: RetrieverOptions<Id, Payload, Filter, Node>,
): Base & {
  /** Learns that a node that was retrieved was used. */
  click(node: Node): Promise<void>;
  /** Learns how good a node was, from -1 to 1. */
  rate(node: Node, rating: number): Promise<void>;
} {
  const hits = new WeakMap<Node, HitReference<Id>>();
  const hitOf = (node: Node) => hits.get(node) ?? { search: "", id: "" as Id };
  class PersonalRetriever extends (BaseRetriever as unknown as new () => object) {
    async _retrieve({ query }: { readonly query: unknown }): Promise<{ node: Node; score: number }[]> {
      const found = await search.search(textOf(query), request as SearchRequest<Filter>);
      return found.map((hit) => {
        const node = nodeOf(hit);
        hits.set(node, hit);
        return { node, score: hit.score };
      });
    }

    async click(node: Node): Promise<void> {
      await search.click(hitOf(node));
    }

    async rate(node: Node, rating: number): Promise<void> {
      await search.rate(hitOf(node), rating);
    }
  }
  return new PersonalRetriever() as never;
}

/** The text of a query of LlamaIndex.TS, which is a string, or parts of a message. */
function textOf(query: unknown): string {
  if (typeof query === "string") return query;
  const parts = Array.isArray(query) ? query : [query];
  return parts.map((part: { readonly text?: unknown }) => (typeof part?.text === "string" ? part.text : "")).join(" ");
}
