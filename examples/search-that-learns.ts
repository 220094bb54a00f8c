// A search box that learns from clicks: documents are embedded once, only the query moves.
import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";

const documents = ["apple pie", "apple computer", "orange juice", "orange phone case", "fruit salad", "laptop charger"];

const embedder = await loadEmbedder();
using index = await EmbeddingIndex.create(documents.map((text) => [text, embedder.embed(text)] as const));
using user = await Personalizer.create({ dimensions: embedder.dimensions });

function show(text: string): void {
  const hits = user.search(embedder.embed(text), index, 3);
  console.log(`${text}: ${hits.map(({ id }) => id).join(", ")}`);
}

/** What a page does when somebody clicks: the query, what was shown for it, and what was chosen. */
function click(text: string, chosen: string): void {
  const query = embedder.embed(text);
  const shown = user.search(query, index, 6).map(({ id }) => id);
  user.learn({ query, chosen, shown, index });
  console.log(`clicked: ${chosen}`);
}

for (const text of ["orange", "an orange one", "dinner"]) show(text);
click("orange", "orange phone case");
click("orange", "orange phone case");
for (const text of ["orange", "an orange one", "dinner"]) show(text);
