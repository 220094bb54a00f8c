import type { WeightLayout } from "microlora";

/** How llama.cpp names and lays out the modules of a family of models. */
export interface Architecture {
  /** `architectures` in the config.json of its models. */
  readonly classes: readonly string[];
  /** Path of a block; its number stands where the `#` is. */
  readonly block: string;
  /** Modules of a block, by their names in llama.cpp; not those of experts, which come in threes and stacks. */
  readonly modules: Readonly<Record<string, string>>;
  /** Modules outside of the blocks. */
  readonly embedding: string;
  readonly output: string | null;
  /** Whether the rows of Q and K are stored in another order than in the model's own files; see `permute.ts`. */
  readonly permutesQK: boolean;
  readonly weightLayout: WeightLayout;
}

const ATTENTION = {
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
};

const GATED = { ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" };

const UNGATED = { ...ATTENTION, ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" };

const PLAIN = {
  block: "model.layers.#.",
  modules: { ...ATTENTION, ...GATED },
  embedding: "model.embed_tokens",
  output: "lm_head",
  permutesQK: false,
  weightLayout: "out-in",
} as const;

/**
 * By `general.architecture`; from `TENSOR_NAMES` and tensor_mapping.py in gguf-py, and the `modify_tensors` of the
 * classes in llama.cpp's conversion/.
 */
export const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map<string, Architecture>([
  [
    "llama",
    {
      ...PLAIN,
      classes: ["LlamaForCausalLM", "LlamaModel", "LLaMAForCausalLM", "MistralForCausalLM", "MixtralForCausalLM"],
      permutesQK: true,
    },
  ],
  ["smollm3", { ...PLAIN, classes: ["SmolLM3ForCausalLM"], permutesQK: true }],
  ["granite", { ...PLAIN, classes: ["GraniteForCausalLM"], permutesQK: true }],
  ["olmo", { ...PLAIN, classes: ["OlmoForCausalLM"], permutesQK: true }],
  ["olmo2", { ...PLAIN, classes: ["Olmo2ForCausalLM", "Olmo3ForCausalLM"] }],
  ["qwen2", { ...PLAIN, classes: ["Qwen2ForCausalLM", "Qwen2Model"] }],
  ["qwen3", { ...PLAIN, classes: ["Qwen3ForCausalLM", "Qwen3Model"] }],
  ["gemma", { ...PLAIN, classes: ["GemmaForCausalLM"] }],
  ["gemma2", { ...PLAIN, classes: ["Gemma2ForCausalLM"] }],
  ["gemma3", { ...PLAIN, classes: ["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"] }],
  ["stablelm", { ...PLAIN, classes: ["StableLmForCausalLM"] }],
  ["command-r", { ...PLAIN, classes: ["CohereForCausalLM"] }],
  ["cohere2", { ...PLAIN, classes: ["Cohere2ForCausalLM"] }],
  ["seed_oss", { ...PLAIN, classes: ["SeedOssForCausalLM"] }],
  ["ernie4_5", { ...PLAIN, classes: ["Ernie4_5ForCausalLM"] }],
  ["exaone4", { ...PLAIN, classes: ["Exaone4ForCausalLM"] }],
  ["nemotron", { ...PLAIN, classes: ["NemotronForCausalLM"], modules: UNGATED }],
  ["arcee", { ...PLAIN, classes: ["ArceeForCausalLM"], modules: UNGATED, permutesQK: true }],
  ["apertus", { ...PLAIN, classes: ["ApertusForCausalLM"], modules: UNGATED }],
  ["qwen3moe", { ...PLAIN, classes: ["Qwen3MoeForCausalLM"], modules: ATTENTION }],
  ["olmoe", { ...PLAIN, classes: ["OlmoeForCausalLM"], modules: ATTENTION }],
  ["gpt-oss", { ...PLAIN, classes: ["GptOssForCausalLM"], modules: ATTENTION }],
  [
    "qwen2moe",
    {
      ...PLAIN,
      classes: ["Qwen2MoeForCausalLM"],
      modules: {
        ...ATTENTION,
        ffn_gate_inp_shexp: "mlp.shared_expert_gate",
        ffn_gate_shexp: "mlp.shared_expert.gate_proj",
        ffn_up_shexp: "mlp.shared_expert.up_proj",
        ffn_down_shexp: "mlp.shared_expert.down_proj",
      },
    },
  ],
  [
    "phi2",
    {
      ...PLAIN,
      classes: ["PhiForCausalLM"],
      modules: { ...ATTENTION, attn_output: "self_attn.dense", ffn_up: "mlp.fc1", ffn_down: "mlp.fc2" },
    },
  ],
  [
    "phi3",
    {
      ...PLAIN,
      classes: ["Phi3ForCausalLM"],
      modules: {
        attn_qkv: "self_attn.qkv_proj",
        attn_output: "self_attn.o_proj",
        ffn_up: "mlp.gate_up_proj",
        ffn_down: "mlp.down_proj",
      },
    },
  ],
  [
    "starcoder2",
    {
      ...PLAIN,
      classes: ["Starcoder2ForCausalLM"],
      modules: { ...ATTENTION, ffn_up: "mlp.c_fc", ffn_down: "mlp.c_proj" },
    },
  ],
  [
    "gpt2",
    {
      classes: ["GPT2LMHeadModel"],
      block: "transformer.h.#.",
      modules: {
        attn_qkv: "attn.c_attn",
        attn_output: "attn.c_proj",
        ffn_up: "mlp.c_fc",
        ffn_down: "mlp.c_proj",
      },
      embedding: "transformer.wte",
      output: "lm_head",
      permutesQK: false,
      weightLayout: "in-out",
    },
  ],
  [
    "bert",
    {
      classes: ["BertModel", "BertForMaskedLM", "RobertaModel", "XLMRobertaModel"],
      block: "encoder.layer.#.",
      modules: {
        attn_q: "attention.self.query",
        attn_k: "attention.self.key",
        attn_v: "attention.self.value",
        attn_output: "attention.output.dense",
        ffn_up: "intermediate.dense",
        ffn_down: "output.dense",
      },
      embedding: "embeddings.word_embeddings",
      output: null,
      permutesQK: false,
      weightLayout: "out-in",
    },
  ],
]);
