// Characters and expected ids of "a" + c + "b" as JSON on stdin -> the characters on which each tokenizer differs.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { readWeights } from "../dist/weights.js";
import { createWordPiece } from "../dist/word-piece.js";

const [model, packages] = process.argv.slice(2);
const { Tokenizer } = await import(pathToFileURL(join(packages, "@huggingface/tokenizers/dist/tokenizers.mjs")).href);
const json = (file) => JSON.parse(readFileSync(join(model, file), "utf8"));
const library = new Tokenizer(json("tokenizer.json"), json("tokenizer_config.json"));
const ours = createWordPiece(
  readWeights(readFileSync(new URL("../weights/minilm-static-256.bin", import.meta.url))).vocabulary,
);

const tokenizers = {
  "this package": (text) => {
    const ids = [];
    ours.forEachToken(text, Infinity, (id) => ids.push(id));
    return ids;
  },
  "@huggingface/tokenizers": (text) => library.encode(text, { add_special_tokens: false }).ids,
};
const { characters, expected } = JSON.parse(readFileSync(0, "utf8"));
const differing = {};
for (const [name, tokenIds] of Object.entries(tokenizers)) {
  differing[name] = characters.filter((c, i) => tokenIds(`a${c}b`).join() !== expected[i].join());
}
writeFileSync(1, JSON.stringify(differing));
