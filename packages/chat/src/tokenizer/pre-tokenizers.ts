/**
 * How byte-level tokenizers cut a text into words before they merge bytes, by `tokenizer.ggml.pre`: patterns that are applied one after
 * the other, each of which cuts what it matches off.
 *
 * Source: `llm_tokenizer_bpe` in llama.cpp's llama-vocab.cpp, and the tokenizer.json of the models themselves.
 */
export function patternsOf(pre: string): readonly string[] | undefined {
  return PATTERNS.find(({ names }) => names.includes(pre))?.patterns;
}

const CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const SYMBOLS = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const CASED = (start: string, end: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]${start}[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]${end}`;

interface Group {
  readonly names: readonly string[];
  readonly patterns: readonly string[];
}

const PATTERNS: readonly Group[] = [
  {
    names: ["llama-bpe", "llama3", "llama-v3", "smaug-bpe", "falcon3", "pixtral", "dbrx"],
    patterns: [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${SYMBOLS}`],
  },
  {
    names: ["qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan"],
    patterns: [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${SYMBOLS}`],
  },
  {
    names: ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
    patterns: ["\\p{N}", GPT2],
  },
  {
    names: ["default", "gpt-2", "gpt2", "mpt", "olmo", "jais", "granite-docling", "trillion", "phi-2"],
    patterns: [GPT2],
  },
  {
    names: ["tekken"],
    patterns: [
      `${CASED("*", "+")}|${CASED("+", "*")}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
    ],
  },
  {
    names: ["gpt-4o", "llama4"],
    patterns: [
      `${CASED("*", "+")}${CONTRACTIONS}?|${CASED("+", "*")}${CONTRACTIONS}?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
    ],
  },
];
