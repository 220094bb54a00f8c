// A search box that learns from clicks: documents are embedded once, only the query moves.
import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";

const documents = ["red apple", "apple computer", "orange juice", "orange phone case", "fruit salad", "laptop charger"];

const embedder = await loadEmbedder();
using index = await EmbeddingIndex.create(documents.map((text) => [text, embedder.embed(text)] as const));
using user = await Personalizer.create({ dimensions: embedder.dimensions });

const show = (query: string) => {
  const hits = user.search(embedder.embed(query), index, 3);
  console.log(`${query}: ${hits.map(({ id }) => id).join(", ")}`);
};

show("apple");
const shown = user.search(embedder.embed("apple"), index, 6).map(({ id }) => id);
user.learn({ query: embedder.embed("apple"), chosen: "apple computer", shown, index });
console.log("clicked: apple computer");
show("apple");
show("apples");
show("juice");
