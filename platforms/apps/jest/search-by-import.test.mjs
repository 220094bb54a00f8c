import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadEmbedder } from "@microlora/embed";
import { readAdapter } from "@microlora/formats/node";
import { openModel } from "@microlora/onnx/node";
import { EmbeddingIndex, MicroLoraError, Personalizer } from "microlora";
import { loadPersonalizer, save } from "microlora/node";

test("a search learns, and is saved", async () => {
  const embedder = await loadEmbedder({ dimensions: 128 });
  const documents = ["orange juice", "orange tree", "an orange phone case"];
  const index = await EmbeddingIndex.create(documents.map((text) => [text, embedder.embed(text)]));
  const user = await Personalizer.create({ dimensions: embedder.dimensions });
  const query = embedder.embed("orange");
  for (let click = 0; click < 3; click++) user.learn({ query, chosen: documents[2], shown: documents, index });
  const path = join(mkdtempSync(join(tmpdir(), "microlora-")), "user");
  await save(user, path);
  const again = await loadPersonalizer(path);
  expect(again.search(query, index, 1)[0].id).toBe(documents[2]);
});

test("what is refused is an error of ours", async () => {
  await expect(Personalizer.create({ dimensions: 0 })).rejects.toBeInstanceOf(MicroLoraError);
  expect(typeof openModel).toBe("function");
  expect(typeof readAdapter).toBe("function");
});
