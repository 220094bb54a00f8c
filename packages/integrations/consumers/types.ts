// The integrations as typed programs use them, against the types of the real packages; `check.sh` compiles it.
import { openai } from "@ai-sdk/openai";
import { PGlite } from "@electric-sql/pglite";
import { connect } from "@lancedb/lancedb";
import { BaseRetriever } from "@langchain/core/retrievers";
import type { VectorStore } from "@langchain/core/vectorstores";
import { BaseEmbedding } from "@llamaindex/core/embeddings";
import { BaseRetriever as LlamaRetriever } from "@llamaindex/core/retriever";
import { TextNode } from "@llamaindex/core/schema";
import { loadEmbedder } from "@microlora/embed";
import { aiSdkEmbedder, embeddingModel, personalEmbeddings } from "@microlora/integrations/ai-sdk";
import { lanceIndex } from "@microlora/integrations/lancedb";
import * as langChain from "@microlora/integrations/langchain";
import * as llama from "@microlora/integrations/llamaindex";
import { personalKeywords } from "@microlora/integrations/minisearch";
import { openAiEmbedder } from "@microlora/integrations/openai";
import { oramaIndex } from "@microlora/integrations/orama";
import { pgVectorIndex } from "@microlora/integrations/pgvector";
import { qdrantIndex } from "@microlora/integrations/qdrant";
import { usePersonalSearch } from "@microlora/integrations/react";
import { usearchIndex } from "@microlora/integrations/usearch";
import { PersonalQueries, PersonalSearch } from "@microlora/search";
import * as orama from "@orama/orama";
import { QdrantClient } from "@qdrant/js-client-rest";
import { embed, wrapEmbeddingModel } from "ai";
import MiniSearch from "minisearch";
import OpenAI from "openai";
import { Index, MetricKind, ScalarKind } from "usearch";

const embedder = await loadEmbedder();
const queries = await PersonalQueries.create({ dimensions: 256 });

export const personal = wrapEmbeddingModel({
  model: openai.embedding("text-embedding-3-small"),
  middleware: personalEmbeddings(queries),
});
export const own = await embed({ model: embeddingModel(embedder), value: "orange" });
const search = await PersonalSearch.create({ documents: ["orange"], embedder: aiSdkEmbedder(personal) });
export const hosted = await PersonalSearch.create({ embedder: openAiEmbedder(new OpenAI(), "text-embedding-3-small") });

export const retriever: BaseRetriever = langChain.personalRetriever(BaseRetriever, { search, user: "ann" });
export type Store = ConstructorParameters<typeof VectorStore>[0];
export const embeddings: Store = langChain.embeddings(embedder);
export const embedding: BaseEmbedding = llama.textEmbedding(BaseEmbedding, embedder);
export const nodes: LlamaRetriever = llama.personalRetriever(LlamaRetriever, {
  search,
  nodeOf: ({ id }) => new TextNode({ text: id }),
});

const pg = pgVectorIndex<number, { name: string }>({ client: new PGlite(), table: "products", payload: ["name"] });
const products = await PersonalSearch.create({ index: pg });
const [product] = await products.search("orange", { filter: { where: "price < $1", values: [5] } });
export const productName: string | undefined = product?.payload?.name;

const table = await (await connect("folder")).openTable("products");
export const lance = await PersonalSearch.create({ index: lanceIndex({ table }) });
export const qdrant = await PersonalSearch.create({ index: qdrantIndex(new QdrantClient(), "products") });
export const found = await qdrant.search("orange", { filter: { must: [{ key: "kind", match: { value: "fruit" } }] } });
const index = new Index(256, MetricKind.Cos, ScalarKind.F32, 16, 0, 0, false);
export const library = await PersonalSearch.create({
  documents: [{ id: 1n, text: "orange" }],
  index: usearchIndex(index),
});
const database = orama.create({ schema: { embedding: "vector[256]" } as const });
export const engine = await PersonalSearch.create({ index: oramaIndex(orama, database) });

const keywords = personalKeywords({
  engine: new MiniSearch({ fields: ["text"] }),
  queries,
  embed: (text) => embedder.embed(text),
  vectorOf: () => undefined,
});
const { hits, click } = await keywords("orange", "ann");
if (hits[0] !== undefined) await click(hits[0]);

export function Results() {
  const { hits, click, isPending } = usePersonalSearch(search, "orange", { k: 3 });
  return { isPending, first: hits[0]?.id.toUpperCase(), choose: () => hits[0] && click(hits[0]) };
}
