// LangChain.js, LlamaIndex.TS and React with a `PersonalSearch`.
import assert from "node:assert/strict";
import { Document } from "@langchain/core/documents";
import { BaseRetriever } from "@langchain/core/retrievers";
import { RunnableLambda } from "@langchain/core/runnables";
import { BaseEmbedding } from "@llamaindex/core/embeddings";
import { BaseRetriever as LlamaRetriever } from "@llamaindex/core/retriever";
import { TextNode } from "@llamaindex/core/schema";
import * as langChain from "@microlora/integrations/langchain";
import * as llama from "@microlora/integrations/llamaindex";
import { PersonalSearch } from "@microlora/search";
import { DOCUMENTS, embedder } from "./support.mjs";
import { openWindow } from "./window.mjs";

export async function langChainJs() {
  const embeddings = langChain.embeddings(embedder);
  assert.deepEqual(await embeddings.embedDocuments(["apple"]), [await embeddings.embedQuery("apple")]);
  const search = await PersonalSearch.create({
    documents: DOCUMENTS.map((text, i) => ({ id: i, text, payload: { text, row: i } })),
    embedder: langChain.langChainEmbedder(embeddings, "minilm-static"),
  });
  const retriever = langChain.personalRetriever(BaseRetriever, {
    search,
    user: "ann",
    k: 4,
    textOf: (hit) => hit.payload.text,
  });
  assert.ok(retriever instanceof BaseRetriever);
  const first = RunnableLambda.from((documents) => documents[0].pageContent);
  const chain = retriever.pipe(first);
  assert.equal(await chain.invoke("orange"), "orange juice");
  const documents = (await retriever.invoke("orange")).map((each) => new Document(each));
  assert.equal(documents.length, 4);
  assert.equal(documents[1].metadata.row, DOCUMENTS.indexOf(documents[1].pageContent));
  await retriever.click(documents.find(({ pageContent }) => pageContent === "orange phone case"));
  assert.equal(await chain.invoke("orange"), "orange phone case");
  await retriever.rate((await retriever.invoke("apple"))[0], -1);
  assert.deepEqual(
    (await search.export("ann")).map(({ kind }) => kind),
    ["click", "rate"],
  );
  await search.close();
}

export async function llamaIndexTs() {
  const embedding = llama.textEmbedding(BaseEmbedding, embedder);
  assert.ok(embedding instanceof BaseEmbedding);
  assert.deepEqual(await embedding.getTextEmbedding("apple"), [...embedder.embed("apple")]);
  assert.deepEqual((await embedding.getTextEmbeddingsBatch(["apple", "pie"]))[1], [...embedder.embed("pie")]);
  const search = await PersonalSearch.create({
    documents: DOCUMENTS,
    embedder: llama.llamaIndexEmbedder(embedding, "minilm-static"),
  });
  const nodeOf = ({ id }) => new TextNode({ id_: id, text: id });
  const retriever = llama.personalRetriever(LlamaRetriever, { search, user: "ann", nodeOf });
  const nodes = await retriever.retrieve({ query: "orange" });
  assert.equal(nodes[0].node.text, "orange juice");
  await retriever.click(nodes.find(({ node }) => node.text === "orange phone case").node);
  assert.equal((await retriever.retrieve("orange"))[0].node.text, "orange phone case");
  await retriever.rate(nodes[0].node, -1);
  await assert.rejects(() => retriever.click(new TextNode({ text: "another" })), { code: "unknown-search" });
  await search.close();
}

export async function react() {
  const close = openWindow();
  const { createElement: h, act, StrictMode } = await import("react");
  const { createRoot } = await import("react-dom/client");
  const { renderToString } = await import("react-dom/server");
  const { usePersonalSearch } = await import("@microlora/integrations/react");
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  const search = PersonalSearch.create({ documents: DOCUMENTS, embedder });
  let seen;
  function Results({ text, user }) {
    seen = usePersonalSearch(search, text, { user, k: 3, filter: () => true });
    return h(
      "ol",
      { "data-pending": seen.isPending },
      seen.hits.map((hit) => h("li", { key: hit.id, onClick: () => seen.click(hit) }, hit.id)),
    );
  }
  assert.equal(renderToString(h(Results, { text: "orange" })), '<ol data-pending="true"></ol>');
  const box = document.body.appendChild(document.createElement("div"));
  const root = createRoot(box);
  const shown = () => [...box.querySelectorAll("li")].map((item) => item.textContent);
  const settle = async () => {
    for (let i = 0; i < 50 && (i === 0 || seen.isPending); i++)
      await act(() => new Promise((resolve) => setTimeout(resolve, 5)));
  };
  const show = async (text, user) => {
    await act(async () => root.render(h(StrictMode, null, h(Results, { text, user }))));
    await settle();
  };
  await show("orange", "ann");
  assert.equal(shown()[0], "orange juice");
  const item = [...box.querySelectorAll("li")].find(({ textContent }) => textContent === "orange phone case");
  await act(async () => item.click());
  await act(() => new Promise((resolve) => setTimeout(resolve, 30)));
  await settle();
  assert.equal(shown()[0], "orange phone case");
  assert.equal(seen.error, null);
  await show("orange", "bob");
  assert.equal(shown()[0], "orange juice");
  await act(() => seen.click({ search: "gone", id: "apple pie" }));
  assert.equal(seen.error.code, "unknown-search");
  // The answer to a text that was typed over comes late, and is dropped.
  await act(async () => root.render(h(Results, { text: "apple", user: "ann" })));
  await show("orange", "ann");
  assert.equal(shown()[0], "orange phone case");
  await act(() => seen.skip());
  await settle();
  await act(() => seen.rate(seen.hits[0], 1));
  await settle();
  const ready = await search;
  assert.deepEqual(
    (await ready.export("ann")).map(({ kind }) => kind),
    ["click", "skip", "rate"],
  );
  await show("  ", "ann");
  assert.deepEqual(shown(), []);
  await act(async () => root.unmount());
  await ready.close();
  await close();
}
