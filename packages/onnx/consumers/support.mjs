// What the checks in transformers.js share.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "@huggingface/transformers";

/** A folder in which transformers.js looks for models, and nowhere else. */
export function modelFolder() {
  const folder = mkdtempSync(join(tmpdir(), "microlora-pipelines-"));
  env.allowRemoteModels = false;
  env.localModelPath = folder;
  return folder;
}

export function check(holds, what) {
  console.log(`${holds ? "ok" : "FAILED"}: ${what}`);
  if (!holds) process.exitCode = 1;
}

/** The code of the error that `action` fails with; undefined if it does not. */
export async function codeOf(action) {
  try {
    await action();
  } catch (error) {
    return error.code ?? error.name;
  }
}

/** A tokenizer of bytes, of which a model knows the first `count`, and 0 is padding. */
export function byteTokenizer(folder, { count = 256, side = "left" } = {}) {
  let next = 256;
  const isPrinted = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const letters = Array.from({ length: count }, (_, byte) => String.fromCodePoint(isPrinted(byte) ? byte : next++));
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const tokenizer = {
    version: "1.0",
    added_tokens: [{ id: 0, content: letters[0], special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: bytes,
    post_processor: null,
    decoder: bytes,
    model: { type: "BPE", vocab: Object.fromEntries(letters.map((letter, byte) => [letter, byte])), merges: [] },
  };
  const config = {
    tokenizer_class: "GPT2Tokenizer",
    model_max_length: 256,
    pad_token: letters[0],
    padding_side: side,
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config));
}
