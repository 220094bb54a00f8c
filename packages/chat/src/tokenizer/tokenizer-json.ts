import type { GgufMetadata } from "@microlora/onnx";
import { ChatError } from "../base/errors.js";
import { mergesOf } from "./merges.js";
import { patternsOf } from "./pre-tokenizers.js";

/** What kind of token one is; `llama_token_type` in llama.cpp's llama.h. */
const KIND = { unknown: 2, control: 3, userDefined: 4, byte: 6 } as const;

/** A tokenizer in the format of Hugging Face's tokenizer.json. */
export type TokenizerJson = Readonly<Record<string, unknown>>;

/**
 * The tokenizer of a GGUF file as tokenizer.json has it: byte-level BPE with its merges (`gpt2`), or SentencePiece's BPE, whose merges
 * follow from its scores (`llama`).
 * @throws ChatError `unsupported-tokenizer`
 */
export function tokenizerJsonOf(metadata: GgufMetadata): TokenizerJson {
  const kind = metadata.text("tokenizer.ggml.model") ?? "none";
  const tokens = metadata.texts("tokenizer.ggml.tokens");
  if (tokens === undefined) throw unsupported("tokenizer.ggml.tokens", "is missing");
  if (kind === "gpt2") return byteLevel(metadata, tokens);
  if (kind === "llama") return sentencePiece(metadata, tokens);
  throw unsupported("tokenizer.ggml.model", `is ${kind}`);
}

function byteLevel(metadata: GgufMetadata, tokens: readonly string[]): TokenizerJson {
  const merges = metadata.texts("tokenizer.ggml.merges");
  if (merges === undefined) throw unsupported("tokenizer.ggml.merges", "is missing");
  const pre = metadata.text("tokenizer.ggml.pre") ?? "default";
  const patterns = patternsOf(pre);
  if (patterns === undefined) throw unsupported("tokenizer.ggml.pre", `is ${pre}`);
  const splits = patterns.map((Regex) => ({
    type: "Split",
    pattern: { Regex },
    behavior: "Isolated",
    invert: false,
  }));
  return {
    ...common(metadata, tokens),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [...splits, { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false }],
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      vocab: vocabularyOf(tokens),
      merges,
      ignore_merges: pre === "llama-bpe" || pre === "tekken",
      byte_fallback: false,
      unk_token: null,
    },
  };
}

function sentencePiece(metadata: GgufMetadata, tokens: readonly string[]): TokenizerJson {
  const scores = metadata.numbers("tokenizer.ggml.scores");
  if (scores?.length !== tokens.length) throw unsupported("tokenizer.ggml.scores", "are missing");
  const hasPrefix = metadata.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const unknown = metadata.number("tokenizer.ggml.unknown_token_id");
  const kinds = metadata.numbers("tokenizer.ggml.token_type") ?? [];
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  return {
    ...common(metadata, tokens),
    normalizer: hasPrefix ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, replace] } : replace,
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(hasPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: "BPE",
      vocab: vocabularyOf(tokens),
      merges: mergesOf(tokens, scores, (id) => kinds[id] !== KIND.control && kinds[id] !== KIND.byte),
      byte_fallback: true,
      fuse_unk: true,
      ignore_merges: false,
      unk_token: unknown === undefined ? null : (tokens[unknown] ?? null),
    },
  };
}

/** Tokens that are cut out of a text before anything else, and those around it. */
function common(metadata: GgufMetadata, tokens: readonly string[]): TokenizerJson {
  const kinds = metadata.numbers("tokenizer.ggml.token_type") ?? [];
  const added = tokens.flatMap((content, id) => {
    const isSpecial = kinds[id] === KIND.control || kinds[id] === KIND.unknown;
    if (!isSpecial && kinds[id] !== KIND.userDefined) return [];
    return [{ id, content, special: isSpecial, single_word: false, lstrip: false, rstrip: false, normalized: false }];
  });
  return { version: "1.0", truncation: null, padding: null, added_tokens: added, post_processor: null };
}

/** Ids by token: the last one where a file has a token twice, as in llama.cpp. */
function vocabularyOf(tokens: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries(tokens.map((token, id) => [token, id]));
}

function unsupported(where: string, problem: string): ChatError {
  return new ChatError(
    "unsupported-tokenizer",
    where,
    problem,
    "Pass a tokenizer of your own: openChat(…, { tokenizer: { json, config } })",
  );
}
