import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LoadOptions, loadEmbedder, type TextEmbedder } from "@microlora/embed";
import * as inline from "@microlora/embed/inline-128";
import { FormatError, type FormatName } from "@microlora/formats";
import { readAdapter } from "@microlora/formats/node";
import { OnnxError, type OpenOptions } from "@microlora/onnx";
import { openModel } from "@microlora/onnx/node";
import { EmbeddingIndex, MicroLoraError, Personalizer } from "microlora";
import { loadPersonalizer, save } from "microlora/node";

async function main(): Promise<void> {
  const options: LoadOptions = { dimensions: 128 };
  const embedder: TextEmbedder = await loadEmbedder(options);
  const documents = ["orange juice", "orange tree", "an orange phone case"];
  const index = await EmbeddingIndex.create(documents.map((text) => [text, embedder.embed(text)] as const));
  const user = await Personalizer.create({ dimensions: embedder.dimensions });
  const query = embedder.embed("orange");
  for (let click = 0; click < 3; click++) user.learn({ query, chosen: documents[2]!, shown: documents, index });
  const path = join(mkdtempSync(join(tmpdir(), "microlora-")), "user");
  await save(user, path);
  const again = await loadPersonalizer(path);
  const first: string | number | undefined = again.search(query, index, 1)[0]?.id;
  const format: FormatName = "peft";
  const refused = await readAdapter(join(path, "none"), { format }).catch(
    (error: unknown) => error instanceof FormatError,
  );
  const open: Pick<OpenOptions, "targets"> = { targets: ["q_proj"] };
  console.log(
    JSON.stringify({
      first,
      refused,
      isSame: embedder.fingerprint === (await inline.loadEmbedder()).fingerprint,
      functions: [typeof openModel, typeof OnnxError, typeof MicroLoraError, typeof open],
    }),
  );
}

main();
