/**
 * What tells the members of the Llama family apart, beyond what a file says in numbers and in the tensors that it has (biases,
 * norms of queries and keys, norms behind a block, an output layer of its own).
 */
export interface Architecture {
  /** How many leading dimensions of a head the rotary embedding turns together: `pairs` of neighbours, or `halves`. */
  readonly rotary: "pairs" | "halves";
  readonly activation: "silu" | "gelu-tanh";
  /** Embeddings are multiplied by the square root of their width. */
  readonly scalesEmbeddings: boolean;
  /** Base of the rotary frequencies in layers with a window, where it differs from the others'. */
  readonly windowRopeBase: number | undefined;
  /**
   * Layers that attend within a window, where the file gives its width: of every `windowPattern` layers all but the last; 1 for all
   * layers, 0 for none.
   */
  readonly windowPattern: number;
  /** Every so many layers, one without rotary embedding; 0 for none. */
  readonly noRopeEvery: number;
  /** Block counts of the models whose queries are scaled by (width / heads)^-1/2, rather than by (size of a head)^-1/2. */
  readonly scalesByWidth: readonly number[];
  /** Width of the window where the file gives none; 0 for no window. */
  readonly defaultWindow: number;
  /** Modules under PyTorch's names, by llama.cpp's. */
  readonly modules: Readonly<Record<string, string>>;
}

const ATTENTION = { attn_q: "self_attn.q_proj", attn_k: "self_attn.k_proj", attn_v: "self_attn.v_proj" };
const COMMON = { attn_output: "self_attn.o_proj", ffn_down: "mlp.down_proj" };

const LLAMA: Architecture = {
  rotary: "pairs",
  activation: "silu",
  scalesEmbeddings: false,
  windowRopeBase: undefined,
  windowPattern: 0,
  noRopeEvery: 0,
  scalesByWidth: [],
  defaultWindow: 0,
  modules: { ...ATTENTION, ...COMMON, ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj" },
};

const GEMMA: Architecture = { ...LLAMA, rotary: "halves", activation: "gelu-tanh", scalesEmbeddings: true };

/** By `general.architecture`. Source: llama.cpp's src/models/*.cpp and llama-model.cpp, `load_hparams`. */
export const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map<string, Architecture>([
  ["llama", LLAMA],
  ["smollm3", { ...LLAMA, noRopeEvery: 4 }],
  ["granite", LLAMA],
  ["qwen2", { ...LLAMA, rotary: "halves" }],
  ["qwen3", { ...LLAMA, rotary: "halves" }],
  ["gemma", GEMMA],
  ["gemma2", { ...GEMMA, windowPattern: 2, defaultWindow: 4096, scalesByWidth: [46] }],
  ["gemma3", { ...GEMMA, windowPattern: 6, windowRopeBase: 10_000, scalesByWidth: [62] }],
  [
    "phi3",
    {
      ...LLAMA,
      rotary: "halves",
      windowPattern: 1,
      modules: { ...COMMON, attn_qkv: "self_attn.qkv_proj", ffn_up: "mlp.gate_up_proj" },
    },
  ],
]);
