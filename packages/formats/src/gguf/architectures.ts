import type { WeightLayout } from "microlora";

/** How the rows or columns of a module are stored in another order than in the model's own files; see `orders.ts`. */
export type Order = "rotary-q" | "rotary-k" | "grouped-qkv" | "linear-qkv" | "linear-values" | "linear-gates";

/** One module of a block: its path within the block, and what llama.cpp makes of it. */
export interface Module {
  readonly path: string;
  /** Its path in some models of the family. */
  readonly also?: string;
  /** Of the rows, which are outputs. */
  readonly rows?: Order;
  /** Of the columns, which are inputs. */
  readonly columns?: Order;
  /** Which third of the module's rows the tensor has, where llama.cpp splits a packed projection. */
  readonly third?: 0 | 1 | 2;
  /** Whether llama.cpp loads an adapter of the tensor and never applies it, so that only merging has an effect. */
  readonly isIgnored?: true;
}

/** Blocks of one kind; the number of a block stands where the `#` is. */
export interface Stack {
  /** What names of tensors begin with, such as `blk.#.`. */
  readonly tensors: string;
  /** What paths of modules begin with, such as `model.layers.#.`. */
  readonly path: string;
  /** Modules by their names in llama.cpp. */
  readonly modules: Readonly<Record<string, Module>>;
  /** Modules of each expert, by the name of the tensor that llama.cpp stacks them to; `*` stands for the expert's number. */
  readonly experts?: Readonly<Record<string, string>>;
  /** Modules that llama.cpp takes apart in a way that two factors cannot follow. */
  readonly unplaced?: readonly string[];
}

/** How llama.cpp names and lays out the modules of a family of models. */
export interface Architecture {
  /** `architectures` in the config.json of its models. */
  readonly classes: readonly string[];
  readonly stacks: readonly Stack[];
  /** Paths of the token embedding; the first is the usual one. */
  readonly embedding: readonly string[];
  /** Path of the head. */
  readonly output: string;
  /**
   * What llama.cpp does with the head: reads an `output.weight` where the file has one (`own`), always takes the embedding
   * (`tied`), has one that adapters do not act on (`ignored`), or has none.
   */
  readonly head: "own" | "tied" | "ignored" | "none";
  readonly weightLayout: WeightLayout;
  /** Heads that a config.json leaves out where they are its class's defaults: of queries, of keys and values if other. */
  readonly defaultHeads?: readonly [attention: number, keyValue?: number];
}

const plain = (paths: Readonly<Record<string, string>>): Readonly<Record<string, Module>> =>
  Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, { path }]));

const ATTENTION = plain({
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
});
const ROTARY: Readonly<Record<string, Module>> = {
  ...ATTENTION,
  attn_q: { path: "self_attn.q_proj", rows: "rotary-q" },
  attn_k: { path: "self_attn.k_proj", rows: "rotary-k" },
};
const GATED = plain({ ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" });
const UNGATED = plain({ ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" });
const ROUTER = plain({ ffn_gate_inp: "mlp.gate" });
const EXPERTS = {
  ffn_gate_exps: "mlp.experts.*.gate_proj",
  ffn_up_exps: "mlp.experts.*.up_proj",
  ffn_down_exps: "mlp.experts.*.down_proj",
};
const MIXTRAL_EXPERTS = {
  ffn_gate_exps: "block_sparse_moe.experts.*.w1",
  ffn_up_exps: "block_sparse_moe.experts.*.w3",
  ffn_down_exps: "block_sparse_moe.experts.*.w2",
};
const SHARED_EXPERT = plain({
  ffn_gate_inp_shexp: "mlp.shared_expert_gate",
  ffn_gate_shexp: "mlp.shared_expert.gate_proj",
  ffn_up_shexp: "mlp.shared_expert.up_proj",
  ffn_down_shexp: "mlp.shared_expert.down_proj",
});
/** Linear attention of Qwen3.5, whose values llama.cpp orders by tiles instead of groups. */
const LINEAR_ATTENTION: Readonly<Record<string, Module>> = {
  attn_qkv: { path: "linear_attn.in_proj_qkv", rows: "linear-qkv" },
  attn_gate: { path: "linear_attn.in_proj_z", rows: "linear-values" },
  ssm_alpha: { path: "linear_attn.in_proj_a", rows: "linear-gates" },
  ssm_beta: { path: "linear_attn.in_proj_b", rows: "linear-gates" },
  ssm_out: { path: "linear_attn.out_proj", columns: "linear-values" },
};
const PER_LAYER = plain({ inp_gate: "per_layer_input_gate", proj: "per_layer_projection" });

const BLOCKS = { tensors: "blk.#.", path: "model.layers.#." };

/** A model whose blocks are called `model.layers.#`, as most are. */
function decoder(
  classes: readonly string[],
  modules: Readonly<Record<string, Module>> = { ...ATTENTION, ...GATED },
  more: Partial<Architecture & Pick<Stack, "experts" | "unplaced">> = {},
): Architecture {
  const { experts, unplaced, ...fields } = more;
  const stack = {
    ...BLOCKS,
    modules,
    ...(experts !== undefined && { experts }),
    ...(unplaced !== undefined && { unplaced }),
  };
  return {
    classes,
    stacks: [stack],
    embedding: ["model.embed_tokens"],
    output: "lm_head",
    head: "own",
    weightLayout: "out-in",
    ...fields,
  };
}

const t5Attention = (layer: number, name: string, prefix: string, out: string) =>
  plain({
    [`${prefix}q`]: `layer.${layer}.${name}.q`,
    [`${prefix}k`]: `layer.${layer}.${name}.k`,
    [`${prefix}v`]: `layer.${layer}.${name}.v`,
    [`${prefix}${out}`]: `layer.${layer}.${name}.o`,
  });
/** `wi` of the first T5 is `ffn_up`, as is `wi_1` of the gated ones. */
const t5Ffn = (layer: number): Readonly<Record<string, Module>> => ({
  ffn_gate: { path: `layer.${layer}.DenseReluDense.wi_0` },
  ffn_up: { path: `layer.${layer}.DenseReluDense.wi_1`, also: `layer.${layer}.DenseReluDense.wi` },
  ffn_down: { path: `layer.${layer}.DenseReluDense.wo` },
});
const T5_DECODER = {
  tensors: "dec.blk.#.",
  path: "decoder.block.#.",
  modules: {
    ...t5Attention(0, "SelfAttention", "attn_", "o"),
    ...t5Attention(1, "EncDecAttention", "cross_attn_", "o"),
    ...t5Ffn(2),
  },
};
const T5_ENCODER = {
  tensors: "enc.blk.#.",
  path: "encoder.block.#.",
  modules: { ...t5Attention(0, "SelfAttention", "attn_", "o"), ...t5Ffn(1) },
};
const t5 = (classes: readonly string[], stacks: readonly Stack[], head: Architecture["head"]): Architecture => ({
  classes,
  stacks,
  embedding: ["shared", "encoder.embed_tokens", "decoder.embed_tokens"],
  output: "lm_head",
  head,
  weightLayout: "out-in",
});

/**
 * By `general.architecture`; from `TENSOR_NAMES` and tensor_mapping.py in gguf-py, the `modify_tensors` of the classes in
 * llama.cpp's conversion/, and what its src/models/ multiply by `build_lora_mm`, which alone applies adapters.
 */
export const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map<string, Architecture>([
  [
    "llama",
    decoder(
      ["LlamaForCausalLM", "LlamaModel", "LLaMAForCausalLM", "MistralForCausalLM", "MixtralForCausalLM"],
      { ...ROTARY, ...GATED, ffn_gate_inp: { path: "block_sparse_moe.gate" } },
      { experts: MIXTRAL_EXPERTS, defaultHeads: [32] },
    ),
  ],
  ["smollm3", decoder(["SmolLM3ForCausalLM"], { ...ROTARY, ...GATED }, { defaultHeads: [16, 4] })],
  ["granite", decoder(["GraniteForCausalLM"], { ...ROTARY, ...GATED }, { defaultHeads: [32] })],
  ["olmo", decoder(["OlmoForCausalLM"], { ...ROTARY, ...GATED }, { defaultHeads: [32] })],
  ["olmo2", decoder(["Olmo2ForCausalLM", "Olmo3ForCausalLM"])],
  ["qwen2", decoder(["Qwen2ForCausalLM", "Qwen2Model"])],
  ["qwen2vl", decoder(["Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"])],
  ["qwen3", decoder(["Qwen3ForCausalLM", "Qwen3Model"])],
  ["qwen3vl", decoder(["Qwen3VLForConditionalGeneration"])],
  [
    "qwen35",
    decoder(["Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"], { ...ATTENTION, ...LINEAR_ATTENTION, ...GATED }),
  ],
  [
    "qwen35moe",
    decoder(
      ["Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeForCausalLM"],
      { ...ATTENTION, ...LINEAR_ATTENTION, ...ROUTER, ...SHARED_EXPERT },
      { experts: EXPERTS },
    ),
  ],
  ["gemma", decoder(["GemmaForCausalLM"], undefined, { head: "tied" })],
  ["gemma2", decoder(["Gemma2ForCausalLM"], undefined, { head: "tied" })],
  ["gemma3", decoder(["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"])],
  [
    "gemma3n",
    decoder(["Gemma3nForCausalLM", "Gemma3nForConditionalGeneration"], {
      ...ATTENTION,
      ...GATED,
      ...PER_LAYER,
      ...plain({ laurel_l: "laurel.linear_left", laurel_r: "laurel.linear_right" }),
      altup_router: { path: "altup.modality_router", isIgnored: true },
    }),
  ],
  [
    "gemma4",
    decoder(["Gemma4ForConditionalGeneration", "Gemma4ForCausalLM"], { ...ATTENTION, ...GATED, ...PER_LAYER }),
  ],
  ["stablelm", decoder(["StableLmForCausalLM"])],
  ["command-r", decoder(["CohereForCausalLM"], undefined, { head: "tied" })],
  ["cohere2", decoder(["Cohere2ForCausalLM"], undefined, { head: "tied" })],
  ["seed_oss", decoder(["SeedOssForCausalLM"])],
  ["ernie4_5", decoder(["Ernie4_5ForCausalLM"])],
  ["exaone4", decoder(["Exaone4ForCausalLM"])],
  ["nemotron", decoder(["NemotronForCausalLM"], { ...ATTENTION, ...UNGATED })],
  ["arcee", decoder(["ArceeForCausalLM"], { ...ROTARY, ...UNGATED }, { defaultHeads: [32] })],
  ["apertus", decoder(["ApertusForCausalLM"], { ...ATTENTION, ...UNGATED })],
  ["qwen3moe", decoder(["Qwen3MoeForCausalLM"], { ...ATTENTION, ...ROUTER }, { experts: EXPERTS })],
  ["olmoe", decoder(["OlmoeForCausalLM"], { ...ATTENTION, ...ROUTER }, { experts: EXPERTS })],
  ["gpt-oss", decoder(["GptOssForCausalLM"], ATTENTION)],
  ["qwen2moe", decoder(["Qwen2MoeForCausalLM"], { ...ATTENTION, ...ROUTER, ...SHARED_EXPERT }, { experts: EXPERTS })],
  [
    "deepseek2",
    decoder(
      ["DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"],
      {
        ...plain({ attn_output: "self_attn.o_proj" }),
        attn_q: { path: "self_attn.q_proj", isIgnored: true },
        attn_q_a: { path: "self_attn.q_a_proj", isIgnored: true },
        attn_q_b: { path: "self_attn.q_b_proj", isIgnored: true },
        attn_kv_a_mqa: { path: "self_attn.kv_a_proj_with_mqa", isIgnored: true },
        ...GATED,
        ...ROUTER,
        ...plain({
          ffn_gate_shexp: "mlp.shared_experts.gate_proj",
          ffn_up_shexp: "mlp.shared_experts.up_proj",
          ffn_down_shexp: "mlp.shared_experts.down_proj",
        }),
      },
      {
        experts: EXPERTS,
        head: "ignored",
        unplaced: ["self_attn.kv_b_proj"],
      },
    ),
  ],
  [
    "phi2",
    decoder(["PhiForCausalLM"], {
      ...ATTENTION,
      ...plain({ attn_output: "self_attn.dense", ffn_up: "mlp.fc1", ffn_down: "mlp.fc2" }),
    }),
  ],
  [
    "phi3",
    decoder(
      ["Phi3ForCausalLM"],
      plain({
        attn_qkv: "self_attn.qkv_proj",
        attn_output: "self_attn.o_proj",
        ffn_up: "mlp.gate_up_proj",
        ffn_down: "mlp.down_proj",
      }),
    ),
  ],
  [
    "starcoder2",
    decoder(["Starcoder2ForCausalLM"], { ...ATTENTION, ...plain({ ffn_up: "mlp.c_fc", ffn_down: "mlp.c_proj" }) }),
  ],
  [
    "baichuan",
    decoder(
      ["BaichuanForCausalLM", "BaiChuanForCausalLM"],
      {
        attn_q: { path: "self_attn.W_pack", third: 0, rows: "rotary-q" },
        attn_k: { path: "self_attn.W_pack", third: 1, rows: "rotary-k" },
        attn_v: { path: "self_attn.W_pack", third: 2 },
        ...plain({ attn_output: "self_attn.o_proj" }),
        ...GATED,
      },
      { defaultHeads: [32] },
    ),
  ],
  [
    "falcon",
    {
      classes: ["FalconForCausalLM", "RWForCausalLM"],
      stacks: [
        {
          tensors: "blk.#.",
          path: "transformer.h.#.",
          modules: {
            attn_qkv: { path: "self_attention.query_key_value", rows: "grouped-qkv" },
            ...plain({
              attn_output: "self_attention.dense",
              ffn_up: "mlp.dense_h_to_4h",
              ffn_down: "mlp.dense_4h_to_h",
            }),
          },
        },
      ],
      embedding: ["transformer.word_embeddings"],
      output: "lm_head",
      head: "own",
      weightLayout: "out-in",
      defaultHeads: [71, 1],
    },
  ],
  [
    "gpt2",
    {
      classes: ["GPT2LMHeadModel"],
      stacks: [
        {
          tensors: "blk.#.",
          path: "transformer.h.#.",
          modules: plain({
            attn_qkv: "attn.c_attn",
            attn_output: "attn.c_proj",
            ffn_up: "mlp.c_fc",
            ffn_down: "mlp.c_proj",
          }),
        },
      ],
      embedding: ["transformer.wte"],
      output: "lm_head",
      head: "own",
      weightLayout: "in-out",
    },
  ],
  [
    "bert",
    {
      classes: ["BertModel", "BertForMaskedLM", "RobertaModel", "XLMRobertaModel"],
      stacks: [
        {
          tensors: "blk.#.",
          path: "encoder.layer.#.",
          modules: plain({
            attn_q: "attention.self.query",
            attn_k: "attention.self.key",
            attn_v: "attention.self.value",
            attn_output: "attention.output.dense",
            ffn_up: "intermediate.dense",
            ffn_down: "output.dense",
          }),
        },
      ],
      embedding: ["embeddings.word_embeddings"],
      output: "cls.predictions.decoder",
      head: "none",
      weightLayout: "out-in",
    },
  ],
  [
    "t5",
    t5(
      [
        "T5ForConditionalGeneration",
        "T5WithLMHeadModel",
        "MT5ForConditionalGeneration",
        "UMT5ForConditionalGeneration",
      ],
      [T5_DECODER, T5_ENCODER],
      "own",
    ),
  ],
  ["t5encoder", t5(["T5EncoderModel"], [T5_ENCODER], "none")],
]);
