import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { loadEmbedder } from "@microlora/embed";
import { InferenceSession, Tensor } from "onnxruntime-node";

/** Texts to unit vectors, one each, in the same order. */
export type EmbedTexts = (texts: readonly string[]) => Promise<Float32Array[]>;

const BATCH = 32;

/** The embedder of `@microlora/embed`: 256 wide. */
export async function staticEmbedder(): Promise<EmbedTexts> {
  const embedder = await loadEmbedder();
  return async (texts) => embedder.embedBatch(texts);
}

/**
 * all-MiniLM-L6-v2 by onnxruntime-node: 384 wide, mean over the tokens. Vectors are cached per model and texts, outside of
 * the repository.
 * @param folder holds `model.onnx` and the tokenizer's files
 */
export function miniLmEmbedder(folder: string): EmbedTexts {
  const model = join(folder, "model.onnx");
  return async (texts) => {
    const cache = cacheFile(model, texts);
    if (existsSync(cache)) return rowsOf(new Float32Array(new Uint8Array(readFileSync(cache)).buffer), texts.length);
    const vectors = await embedAll(folder, model, texts);
    writeFileSync(cache, Buffer.concat(vectors.map(({ buffer }) => new Uint8Array(buffer))));
    return vectors;
  };
}

async function embedAll(folder: string, model: string, texts: readonly string[]): Promise<Float32Array[]> {
  const [tokenizer, config] = ["tokenizer.json", "tokenizer_config.json"].map((name) =>
    JSON.parse(readFileSync(join(folder, name), "utf8")),
  );
  const encode = new Tokenizer(tokenizer, config);
  const session = await InferenceSession.create(model);
  console.error(`MiniLM embeds ${texts.length} texts, which will be kept in a cache`);
  const vectors: Float32Array[] = [];
  for (let from = 0; from < texts.length; from += BATCH) {
    const ids = texts.slice(from, from + BATCH).map((text) => encode.encode(text).ids);
    vectors.push(...(await embedBatch(session, ids)));
  }
  await session.release();
  return vectors;
}

async function embedBatch(session: InferenceSession, ids: readonly (readonly number[])[]): Promise<Float32Array[]> {
  const width = Math.max(...ids.map(({ length }) => length));
  const dims = [ids.length, width];
  const tokens = new BigInt64Array(ids.length * width);
  const mask = new BigInt64Array(ids.length * width);
  for (const [row, rowIds] of ids.entries()) {
    for (const [column, id] of rowIds.entries()) {
      tokens[row * width + column] = BigInt(id);
      mask[row * width + column] = 1n;
    }
  }
  const { last_hidden_state: hidden } = await session.run({
    input_ids: new Tensor("int64", tokens, dims),
    attention_mask: new Tensor("int64", mask, dims),
    token_type_ids: new Tensor("int64", new BigInt64Array(ids.length * width), dims),
  });
  const states = hidden!.data as Float32Array;
  const size = hidden!.dims[2]!;
  return ids.map((rowIds, row) => {
    const sum = new Float32Array(size);
    for (let token = 0; token < rowIds.length; token++) {
      const first = (row * width + token) * size;
      for (let i = 0; i < size; i++) sum[i]! += states[first + i]!;
    }
    return toUnit(sum);
  });
}

function toUnit(vector: Float32Array): Float32Array {
  const norm = Math.hypot(...vector) || 1;
  return vector.map((value) => value / norm);
}

function cacheFile(model: string, texts: readonly string[]): string {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "microlora-bench");
  mkdirSync(folder, { recursive: true });
  const hash = createHash("sha256").update(readFileSync(model));
  for (const text of texts) hash.update(text).update("\0");
  return join(folder, `${hash.digest("hex")}.f32`);
}

function rowsOf(values: Float32Array, rows: number): Float32Array[] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, row) => values.slice(row * width, (row + 1) * width));
}
