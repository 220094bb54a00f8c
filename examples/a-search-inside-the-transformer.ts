// A sentence transformer in ONNX learns what its user means by a word, click by click, inside the transformer.
// MINILM=FOLDER runs all-MiniLM-L6-v2 (model.onnx and vocab.txt); otherwise a tiny BERT with random weights, which runs anywhere.
import { readFileSync } from "node:fs";
import { infoNce } from "@microlora/onnx";
import { openModel } from "@microlora/onnx/node";
import { adamw, type MicroLora } from "microlora";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;
const folder = process.env.MINILM;
const tiny = new URL("../../packages/onnx/fixtures/bert-legacy/model.onnx", import.meta.url);
const path = folder === undefined ? tiny : `${folder}/model.onnx`;
const model = await openModel(path, { ort, targets: "all-linear" });
const idsOf = folder === undefined ? lettersOf : wordPieces(readFileSync(`${folder}/vocab.txt`, "utf8").split("\n"));

const documents = [
  "orange juice",
  "orange phone case",
  "apple pie",
  "apple laptop charger",
  "blackberry jam",
  "smartphone",
];
const vectors = await Promise.all(documents.map((text) => embed(text)));
const dims = [documents.length, vectors[0]!.length] as const;
const candidates = { data: Float32Array.from(vectors.flatMap((vector) => [...vector])), dims };

// A tiny model with random weights has to go further.
const learning = { optimizer: adamw(), learningRate: folder === undefined ? 0.03 : 0.002, ewcLambda: 0 };
const user = await model.createAdapter({ rank: 2, learning });
const clicks = [
  ["orange", "orange phone case"],
  ["apple", "apple laptop charger"],
] as const;

for (const [query] of clicks) console.log(`before: ${query} finds ${(await search(query))[0]}`);
for (let round = 0; round < 8; round++) {
  for (const [query, chosen] of clicks) {
    const loss = infoNce({ anchors: [0], candidates, chosen: [documents.indexOf(chosen)], temperature: 0.4 });
    await model.learn({ feeds: feedsOf(query), loss }, { adapter: user });
  }
}
for (const [query] of clicks) console.log(`after:  ${query} finds ${(await search(query))[0]}`);
console.log(`after:  blackberry finds ${(await search("blackberry"))[0]}, which was never clicked`);
console.log(`saved: ${user.paramCount} parameters; documents were embedded once`);
await model[Symbol.asyncDispose]();

/** The documents by the cosine that the user's own model gives. */
async function search(query: string): Promise<readonly string[]> {
  const vector = await embed(query, user);
  const score = (i: number) => vectors[i]!.reduce((sum, value, k) => sum + value * vector[k]!, 0);
  return [...documents.keys()].sort((a, b) => score(b) - score(a)).map((i) => documents[i]!);
}

/** The mean over tokens, of length 1. */
async function embed(text: string, adapters: MicroLora | null = null): Promise<Float32Array> {
  const { last_hidden_state: states } = await model.run(feedsOf(text), { adapters });
  const [, tokens, width] = states!.dims as readonly [number, number, number];
  const sum = new Float32Array(width);
  for (const [i, value] of (states!.data as Float32Array).entries()) sum[i % width]! += value / tokens;
  const norm = Math.hypot(...sum);
  return sum.map((value) => value / norm);
}

function feedsOf(text: string) {
  const ids = idsOf(text);
  return model.complete({ input_ids: { type: "int64", dims: [1, ids.length], data: BigInt64Array.from(ids, BigInt) } });
}

function lettersOf(text: string): readonly number[] {
  return [...text].map((letter) => letter.charCodeAt(0) - 31);
}

/** BERT's words: the longest piece of the vocabulary first, `##` before what goes on (Devlin et al. 2019). */
function wordPieces(vocabulary: readonly string[]): (text: string) => readonly number[] {
  const ids = new Map(vocabulary.map((piece, id) => [piece, id]));
  const pieces = (word: string, prefix = ""): readonly string[] => {
    let end = word.length;
    while (end > 1 && !ids.has(prefix + word.slice(0, end))) end--;
    const piece = prefix + word.slice(0, end);
    return end < word.length ? [piece, ...pieces(word.slice(end), "##")] : [piece];
  };
  return (text) => {
    const words = text.toLowerCase().match(/\p{L}+|\p{N}+/gu) ?? [];
    const all = ["[CLS]", ...words.flatMap((word) => pieces(word)), "[SEP]"];
    return all.map((piece) => ids.get(piece) ?? ids.get("[UNK]")!);
  };
}
