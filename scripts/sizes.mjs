import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/**
 * What a page downloads before the first call of each entry, in KB of 1,024 bytes, minified and gzipped, at most. Chunks that are imported
 * later do not count, nor do peers, which the caller chooses.
 */
const CEILINGS = [
  {
    code: 'export { MicroLora } from "microlora";',
    ceiling: 22,
    reason:
      "4 KB of SIMD kernels, 1 KB of scalar ones for pages that may not compile them, and a checkpoint whose every number is checked",
  },
  {
    code: 'export { MicroLora, Learner } from "microlora";',
    ceiling: 35,
    reason: "every kind of feedback, at once or late, with guard, replay, boundaries, undo and their checkpoint",
  },
  {
    code: 'export { EmbeddingIndex } from "microlora";',
    ceiling: 15,
    reason: "kernels for the scores, and the index's own file; it brings no adapter",
  },
  {
    code: 'export { Personalizer, EmbeddingIndex } from "microlora";',
    ceiling: 50,
    reason:
      "the slow weights are a whole Learner, 34 KB; recall, items, margins and three versions of files come on top",
  },
  {
    code: 'export { PersonalSearch } from "@microlora/search";',
    ceiling: 60,
    reason:
      "Personalizer and its index, and the users of a store; the built-in embedder is loaded when nothing else is given",
  },
  {
    code: 'export { decodePeft } from "@microlora/formats";',
    ceiling: 9,
    reason: "safetensors, the configuration and its patterns; no kernel comes along",
  },
  {
    code: 'export * from "@microlora/formats";',
    ceiling: 69,
    reason: "all formats, and what merges and combines adapters",
  },
  {
    code: 'export { openModel } from "@microlora/onnx";',
    ceiling: 89,
    reason:
      "reading, typing and rewriting graphs before the first run; gradients, trainer and inspection are loaded when needed",
  },
  {
    code: 'export { openModel, ModelLearner } from "@microlora/onnx";',
    ceiling: 103,
    reason: "the learner's feedback, guard and replay with it",
  },
  {
    code: 'export { loadEmbedder } from "@microlora/embed";',
    ceiling: 5,
    reason: "a tokenizer and a sum of rows; the weights are a file of their own",
  },
  {
    code: 'export { openChat } from "@microlora/chat";',
    ceiling: 137,
    reason: "openModel, a template engine, a tokenizer and learning from thumbs",
  },
  {
    code: 'export { openMemoryStore, openPool } from "@microlora/store";',
    ceiling: 6,
    reason: "the contract with one home, and the pool of hot users",
  },
  {
    code: 'export { openIndexedDbStore } from "@microlora/store/indexeddb";',
    ceiling: 6.5,
    reason: "IndexedDB by a library of 1 KB",
  },
];

/** Prints the size of each entry beside its ceiling. @returns whether all are within them */
export async function checkSizes() {
  let isGood = true;
  for (const { code, ceiling, reason } of CEILINGS) {
    const size = (await firstDownload(code)) / 1024;
    const mark = size > ceiling ? "TOO LARGE " : "";
    console.log(`${mark}${code.slice(7, -1)}: ${size.toFixed(1)} KB of ${ceiling}: ${reason}`);
    isGood &&= size <= ceiling;
  }
  return isGood;
}

/** Bytes, each chunk gzipped, of the chunks that are loaded at once. */
async function firstDownload(contents) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: "." },
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["node:*", "onnxruntime-*"],
    outdir: "out",
    metafile: true,
    write: false,
  });
  const chunks = new Map(outputFiles.map(({ path, contents: bytes }) => [path, gzipSync(bytes, { level: 9 }).length]));
  const pending = Object.keys(metafile.outputs)
    .filter((path) => metafile.outputs[path].entryPoint !== undefined)
    .slice(0, 1);
  const loaded = new Set(pending);
  for (const path of loaded) {
    for (const { path: next, kind } of metafile.outputs[path]?.imports ?? [])
      if (kind === "import-statement") loaded.add(next);
  }
  return [...loaded].reduce((sum, path) => sum + (chunks.get(resolve(path)) ?? 0), 0);
}
