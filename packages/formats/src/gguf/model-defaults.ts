/** `model_type`s whose head is the embedding unless their config.json says otherwise, in Transformers 5.24. */
const TIED = new Set(
  (
    "albert bert bloom cohere cohere2 distilbert electra ernie4_5 falcon gemma gemma2 gemma3 gemma3_text gemma3n " +
    "gemma3n_text gemma4 gemma4_text gpt2 gpt_bigcode gpt_neo modernbert mpt mt5 opt roberta smollm3 starcoder2 t5 umt5 " +
    "xlm-roberta"
  ).split(" "),
);

/** `model_type`s that have a head of their own unless their config.json says otherwise. */
const UNTIED = new Set(
  (
    "apertus arcee baichuan deepseek_v2 deepseek_v3 exaone4 gpt_neox gpt_oss gptj granite llama mistral mixtral nemotron olmo " +
    "olmo2 olmo3 olmoe phi phi3 qwen2 qwen2_5_vl qwen2_moe qwen2_vl qwen3 qwen3_5 qwen3_5_moe qwen3_5_text qwen3_moe " +
    "qwen3_next qwen3_vl seed_oss stablelm"
  ).split(" "),
);

type Config = Readonly<Record<string, unknown>>;

/** The part of a config.json that is about text: its own, or that of a model of several kinds of input. */
export function textConfigOf(config: Config): Config {
  const text = config.text_config ?? config.llm_config;
  return typeof text === "object" && text !== null && !Array.isArray(text) ? { ...text } : config;
}

/**
 * Whether a language model's head is its embedding (`tie_word_embeddings`), by its parsed config.json, which leaves out what its
 * class has by default; undefined for a class whose default is not known here.
 */
export function tiesHead(config: Config): boolean | undefined {
  const [name] = Array.isArray(config.architectures) ? config.architectures : [];
  // A bare model has no head, nor has one that classifies.
  if (typeof name === "string" && !/(?:LMHeadModel|ForCausalLM|ForConditionalGeneration|ForMaskedLM)$/.test(name)) {
    return false;
  }
  const text = textConfigOf(config);
  for (const value of [config.tie_word_embeddings, text.tie_word_embeddings])
    if (typeof value === "boolean") return value;
  for (const type of [config.model_type, text.model_type]) {
    if (typeof type !== "string") continue;
    if (TIED.has(type)) return true;
    if (UNTIED.has(type)) return false;
  }
  return undefined;
}
