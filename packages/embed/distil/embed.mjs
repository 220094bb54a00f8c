// JSON array of texts on stdin -> float32 vectors on stdout, by the built package. Argument: dimensions.
import { readFileSync, writeSync } from "node:fs";
import { loadEmbedder } from "../dist/node.js";

const embedder = await loadEmbedder({ dimensions: Number(process.argv[2]) });
const texts = JSON.parse(readFileSync(0, "utf8"));
const rows = embedder.embedBatch(texts);
const bytes = new Uint8Array(rows[0].buffer);
for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
