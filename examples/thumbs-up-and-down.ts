// Thumbs on single answers: a rating in [-1, 1] of one item moves towards it or away from it, and lets go once it is clearly so.
import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";

const documents = ["a jazz trio", "a heavy metal concert", "a string quartet", "a punk band", "a choir", "a drum solo"];

const embedder = await loadEmbedder();
using index = await EmbeddingIndex.create(documents.map((text) => [text, embedder.embed(text)] as const));
using user = await Personalizer.create({ dimensions: embedder.dimensions, slow: { learningRate: 0.01 } });

const show = (text: string) => {
  const hits = user.search(embedder.embed(text), index, 3);
  console.log(`${text}: ${hits.map(({ id }) => id).join(", ")}`);
};
const rate = (text: string, item: string, rating: number) => {
  user.learn({ query: embedder.embed(text), rating, item, index });
  console.log(`${rating > 0 ? "thumbs up" : "thumbs down"}: ${item}`);
};

show("music for tonight");
for (let evening = 0; evening < 3; evening++) {
  rate("music for tonight", "a heavy metal concert", -1);
  rate("music for tonight", "a string quartet", 1);
}
show("music for tonight");
show("a concert");
