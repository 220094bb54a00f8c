// A sentence embedder of a folder as the embedder of a PersonalSearch, beside transformers.js. Usage: node embedder.mjs FOLDER_OF_MODELS
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { pipeline } from "@huggingface/transformers";
import { onnxEmbedder } from "@microlora/integrations/onnx";
import { PersonalSearch } from "@microlora/search";
import * as ort from "onnxruntime-node";
import { check, codeOf, modelFolder } from "./support.mjs";

const models = resolve(process.argv[2]);
const folder = modelFolder();
const path = join(folder, "minilm");
cpSync(join(models, "minilm"), path, { recursive: true });
mkdirSync(join(path, "onnx"));
cpSync(join(models, "minilm/model.onnx"), join(path, "onnx/model.onnx"));

// The last text is too long. What is cut off leaves the token at the end in place, as in Python; transformers.js cuts that off as well.
const texts = ["a walk in the rain", "", "Zürich: 東京 🚀", "rain ".repeat(2_000)];
const fitting = [...texts.slice(0, 3), "rain ".repeat(510)];
const pipe = await pipeline("feature-extraction", "minilm", { dtype: "fp32" });
const away = (ours, theirs) => Math.max(...ours.map((value, i) => Math.abs(value - theirs[i])));

for (const pooling of ["mean", "cls"]) {
  const embedder = await onnxEmbedder(path, { ort, pooling, maxTokens: 512 });
  const ours = await embedder.embedBatch(texts);
  const gaps = [];
  for (const [i, text] of fitting.entries()) {
    gaps.push(away(ours[i], (await pipe(text, { pooling, normalize: true })).data));
  }
  check(
    embedder.dimensions === 384 && Math.max(...gaps) < 1e-5,
    `vectors pooled by ${pooling} are transformers.js's, within ${Math.max(...gaps)}`,
  );
  await embedder.close();
}

const embedder = await onnxEmbedder(path, { ort });
const documents = ["orange juice", "orange phone case", "apple pie"];
const shop = await PersonalSearch.create({ documents, embedder });
const before = await shop.search("orange");
await shop.click(before[1]);
check((await shop.search("orange"))[0].id === before[1].id, "a search over an .onnx learns from a click");

const other = await onnxEmbedder(path, { ort, prefix: "query: " });
check(other.fingerprint !== embedder.fingerprint, "another prefix is another embedder");
const same = await onnxEmbedder(path, { ort });
check(same.fingerprint === embedder.fingerprint, "the same folder is the same embedder");

check((await codeOf(() => onnxEmbedder(join(folder, "nowhere"), { ort }))) === "no-such-file", "no folder: named");
check((await codeOf(() => onnxEmbedder(path, {}))) === "invalid-argument", "no onnxruntime: named");
check(
  (await codeOf(() => onnxEmbedder(path, { ort, pooling: "max" }))) === "invalid-argument",
  "no such pooling: named",
);
rmSync(folder, { recursive: true });
