import type { Model, ValueInfo } from "../graph/ir.js";
import { Emitter } from "./emitter.js";
import { type Hyperparameters, hasRope, hasWindow } from "./hyperparameters.js";
import type { GgufFile } from "./read.js";
import { rotaryTable, unpermuted } from "./rotary.js";
import type { Matrix, Weights } from "./weights.js";

/** How the graph of a GGUF file computes. */
export interface GraphOptions {
  /** Tokens that keys and values can be kept of; positions are in a table. */
  readonly contextLength: number;
  readonly accuracyLevel: 1 | 4;
}

/**
 * The ONNX graph of a model of the Llama family, with inputs and outputs as onnxruntime-genai names them: `input_ids`,
 * `attention_mask`, `num_logits_to_keep` (0 for all), `past_key_values.N.key`; `logits`, `present.N.key`. Batches are padded on the right.
 */
export function writeGraph(file: GgufFile, sizes: Hyperparameters, weights: Weights, options: GraphOptions): Model {
  return new Writer(file, sizes, weights, options).write();
}

/** What every layer takes. */
interface Common {
  /** int32 [batch]: the last position of each row. */
  readonly lastPositions: string;
  /** int32 scalar: tokens of the longest row. */
  readonly total: string;
}

/** A cosine and a sine table. */
interface RotaryNames {
  readonly cos: string;
  readonly sin: string;
}

/** The residual stream, and what the block before adds to it. */
interface Stream {
  readonly residual: string;
  readonly added: string | undefined;
}

const KEEP = "num_logits_to_keep";
const END = Number.MAX_SAFE_INTEGER;

class Writer {
  readonly #file: GgufFile;
  readonly #sizes: Hyperparameters;
  readonly #weights: Weights;
  readonly #options: GraphOptions;
  readonly #emit: Emitter;
  readonly #rotary = new Map<boolean, RotaryNames>();

  constructor(file: GgufFile, sizes: Hyperparameters, weights: Weights, options: GraphOptions) {
    this.#file = file;
    this.#sizes = sizes;
    this.#weights = weights;
    this.#options = options;
    this.#emit = new Emitter(weights, options.accuracyLevel);
  }

  write(): Model {
    const { layers } = this.#sizes;
    const { table, head } = this.#vocabulary();
    const common = this.#common();
    let stream: Stream = { residual: this.#embed(table), added: undefined };
    for (let layer = 0; layer < layers; layer++) stream = this.#layer(layer, stream, common);
    const last = this.#norm("model.norm", "output_norm", stream);
    const logits = this.#logits(this.#kept(last.value), head);
    return this.#model(logits);
  }

  /** The table of embeddings, and the output layer: its own, or that table. */
  #vocabulary(): { readonly table: Matrix; readonly head: Matrix } {
    const { vocabulary, width } = this.#sizes;
    const table = this.#weights.matrix("token_embd.weight", vocabulary, width, "model.embed_tokens");
    const head = this.#weights.has("output.weight")
      ? this.#weights.matrix("output.weight", vocabulary, width, "lm_head")
      : table;
    return { table, head };
  }

  #embed(table: Matrix): string {
    const { embeddingScale } = this.#sizes;
    const rows = this.#emit.embed("model.embed_tokens", "input_ids", table);
    return this.#scaled("model.embed_tokens", rows, embeddingScale);
  }

  #common(): Common {
    const emit = this.#emit;
    const path = "model.attention_mask";
    const counts = emit.node(path, "ReduceSum", ["attention_mask", emit.builder.ints(1)], { keepdims: 0 });
    const last = emit.node(path, "Sub", [counts, emit.builder.ints(1)]);
    const length = emit.node(path, "Shape", ["attention_mask"], { start: 1, end: 2 });
    const scalar = emit.node(path, "Squeeze", [length, emit.builder.ints(0)]);
    return {
      lastPositions: emit.node(`${path}.last`, "Cast", [last], { to: INT32 }),
      total: emit.node(`${path}.total`, "Cast", [scalar], { to: INT32 }),
    };
  }

  #layer(layer: number, before: Stream, common: Common): Stream {
    const path = `model.layers.${layer}`;
    const { hasPostNorms } = this.#postNorms(layer);
    const input = this.#norm(`${path}.input_layernorm`, `blk.${layer}.attn_norm`, before);
    const attended = this.#added(layer, "attention", this.#attention(layer, input.value, common));
    const middle = this.#norm(
      hasPostNorms ? `${path}.pre_feedforward_layernorm` : `${path}.post_attention_layernorm`,
      `blk.${layer}.ffn_norm`,
      { residual: input.residual, added: attended },
    );
    return {
      residual: middle.residual,
      added: this.#added(layer, "feedforward", this.#feedForward(layer, middle.value)),
    };
  }

  #postNorms(layer: number): { readonly hasPostNorms: boolean } {
    return { hasPostNorms: this.#weights.has(`blk.${layer}.post_attention_norm.weight`) };
  }

  /** What a block adds to the residual stream: normalised (Gemma 2), scaled (Granite), or as it is. */
  #added(layer: number, block: "attention" | "feedforward", value: string): string {
    const { width, residualScale } = this.#sizes;
    const tensor = `blk.${layer}.post_${block === "attention" ? "attention" : "ffw"}_norm.weight`;
    const path = `model.layers.${layer}.post_${block}_layernorm`;
    if (!this.#weights.has(tensor)) return this.#scaled(path, value, residualScale);
    return this.#rms(path, value, this.#weights.vector(tensor, width, `${path}.weight`));
  }

  /** Adds the last block's output to the residual stream, and returns the sum and its RMS normalisation. */
  #norm(
    path: string,
    tensor: string,
    { residual, added }: Stream,
  ): { readonly value: string; readonly residual: string } {
    const { width, epsilon } = this.#sizes;
    const weight = this.#weights.vector(`${tensor}.weight`, width, `${path}.weight`);
    if (added === undefined) return { value: this.#rms(path, residual, weight), residual };
    const [value, , , sum] = this.#emit.nodes(
      path,
      "SkipSimplifiedLayerNormalization",
      [residual, added, weight],
      { epsilon: { kind: "float", value: epsilon } },
      { domain: MICROSOFT, outputs: [0, 3] },
    );
    return { value: value!, residual: sum! };
  }

  #rms(path: string, x: string, weight: string): string {
    const { epsilon } = this.#sizes;
    const attributes = { axis: -1, stash_type: 1, epsilon: { kind: "float", value: epsilon } as const };
    return this.#emit.node(path, "SimplifiedLayerNormalization", [x, weight], attributes);
  }

  #attention(layer: number, x: string, { lastPositions, total }: Common): string {
    const sizes = this.#sizes;
    const { heads, keyValueHeads, headSize, width, attentionScale, attentionSoftcap, window } = sizes;
    const path = `model.layers.${layer}.self_attn`;
    const [query, key, value] = this.#queriesKeysValues(layer, x);
    const isWindowed = hasWindow(sizes, layer);
    const turns = hasRope(sizes, layer);
    const { cos, sin } = turns ? this.#rotaryNames(isWindowed) : { cos: "", sin: "" };
    const float = (number: number) => ({ kind: "float", value: number }) as const;
    const past = `past_key_values.${layer}`;
    const [attended] = this.#emit.nodes(
      path,
      "GroupQueryAttention",
      [query, key, value, `${past}.key`, `${past}.value`, lastPositions, total, ...(turns ? [cos, sin] : [])],
      {
        num_heads: heads,
        kv_num_heads: keyValueHeads,
        do_rotary: turns ? 1 : 0,
        rotary_interleaved: 0,
        scale: float(attentionScale),
        ...(attentionSoftcap > 0 && { softcap: float(attentionSoftcap) }),
        ...(isWindowed && { local_window_size: window }),
      },
      { domain: MICROSOFT, outputs: [0, 1, 2] },
    );
    return this.#project(layer, "attn_output", attended!, width, heads * headSize);
  }

  #queriesKeysValues(layer: number, x: string): readonly [string, string, string] {
    const { heads, keyValueHeads, headSize, width, architecture } = this.#sizes;
    const widths = [heads * headSize, keyValueHeads * headSize, keyValueHeads * headSize];
    if ("attn_qkv" in architecture.modules) {
      const packed = this.#project(layer, "attn_qkv", x, widths[0]! + 2 * widths[1]!, width);
      const sizes = this.#emit.builder.ints(...widths);
      const path = `model.layers.${layer}.self_attn.qkv`;
      const parts = this.#emit.nodes(path, "Split", [packed, sizes], { axis: -1 }, { outputs: [0, 1, 2] });
      return parts as unknown as [string, string, string];
    }
    const order = (rows: number) => (architecture.rotary === "pairs" ? unpermuted(rows, headSize) : undefined);
    return [
      this.#normHeads(layer, "q", this.#project(layer, "attn_q", x, widths[0]!, width, order(widths[0]!)), heads),
      this.#normHeads(
        layer,
        "k",
        this.#project(layer, "attn_k", x, widths[1]!, width, order(widths[1]!)),
        keyValueHeads,
      ),
      this.#project(layer, "attn_v", x, widths[2]!, width),
    ];
  }

  /** RMS normalisation of each head, where the file has weights for it (Qwen 3, Gemma 3). */
  #normHeads(layer: number, which: "q" | "k", value: string, heads: number): string {
    const { headSize } = this.#sizes;
    const tensor = `blk.${layer}.attn_${which}_norm.weight`;
    if (!this.#weights.has(tensor)) return value;
    const path = `model.layers.${layer}.self_attn.${which}_norm`;
    const { builder } = this.#emit;
    const apart = this.#emit.node(`${path}.heads`, "Reshape", [value, builder.ints(0, 0, heads, headSize)]);
    const normed = this.#rms(path, apart, this.#weights.vector(tensor, headSize, `${path}.weight`));
    return this.#emit.node(path, "Reshape", [normed, builder.ints(0, 0, heads * headSize)]);
  }

  #feedForward(layer: number, x: string): string {
    const { feedForward, width, architecture } = this.#sizes;
    const path = `model.layers.${layer}.mlp`;
    const [gate, up] =
      "ffn_gate" in architecture.modules
        ? [
            this.#project(layer, "ffn_gate", x, feedForward, width),
            this.#project(layer, "ffn_up", x, feedForward, width),
          ]
        : this.#gateAndUp(layer, x);
    const active = this.#activation(path, gate!);
    const product = this.#emit.node(path, "Mul", [active, up!]);
    return this.#project(layer, "ffn_down", product, width, feedForward);
  }

  #gateAndUp(layer: number, x: string): readonly string[] {
    const { feedForward, width } = this.#sizes;
    const packed = this.#project(layer, "ffn_up", x, 2 * feedForward, width);
    const sizes = this.#emit.builder.ints(feedForward, feedForward);
    return this.#emit.nodes(`model.layers.${layer}.mlp`, "Split", [packed, sizes], { axis: -1 }, { outputs: [0, 1] });
  }

  #activation(path: string, x: string): string {
    const at = `${path}.act_fn`;
    if (this.#sizes.architecture.activation === "gelu-tanh") {
      return this.#emit.node(at, "Gelu", [x], { approximate: "tanh" });
    }
    return this.#emit.node(at, "Mul", [x, this.#emit.node(at, "Sigmoid", [x])]);
  }

  /** A projection, and its bias where the file has one. */
  #project(layer: number, name: string, x: string, rows: number, columns: number, order?: Uint32Array): string {
    const tensor = `blk.${layer}.${name}`;
    const path = `model.layers.${layer}.${this.#sizes.architecture.modules[name]}`;
    const weight = this.#weights.matrix(`${tensor}.weight`, rows, columns, path, order);
    const product = this.#emit.project(path, x, weight);
    if (!this.#weights.has(`${tensor}.bias`)) return product;
    const bias = this.#weights.vector(`${tensor}.bias`, rows, `${path}.bias`, order);
    return this.#emit.node(path, "Add", [product, bias]);
  }

  #rotaryNames(isWindowed: boolean): RotaryNames {
    const isOwn = isWindowed && this.#sizes.architecture.windowRopeBase !== undefined;
    const known = this.#rotary.get(isOwn);
    if (known !== undefined) return known;
    const { contextLength } = this.#options;
    const half = this.#sizes.rope.dimensions / 2;
    const { cos, sin } = rotaryTable(this.#sizes, contextLength, this.#rotaryFactors(half), isOwn);
    const prefix = `model.rotary_emb${isOwn ? ".window" : ""}`;
    const add = (name: string, values: Float32Array) =>
      this.#weights.add(`${prefix}.${name}`, "float32", [contextLength, half], values);
    const names = { cos: add("cos", cos), sin: add("sin", sin) };
    this.#rotary.set(isOwn, names);
    return names;
  }

  #rotaryFactors(half: number): Float32Array | undefined {
    const isLong = this.#options.contextLength > this.#sizes.rope.originalContext;
    const names = ["rope_freqs.weight", `rope_factors_${isLong ? "long" : "short"}.weight`];
    const name = names.find((each) => this.#weights.has(each));
    return name === undefined ? undefined : this.#weights.values(name, half);
  }

  /** The last states, those of as many tokens as are asked for. */
  #kept(states: string): string {
    const { builder } = this.#emit;
    const path = "lm_head.kept";
    const count = this.#emit.node(path, "Reshape", [KEEP, builder.ints(1)]);
    const start = this.#emit.node(path, "Neg", [count]);
    return this.#emit.node(path, "Slice", [states, start, builder.ints(END), builder.ints(1)]);
  }

  #logits(states: string, head: Matrix): string {
    const { logitScale, logitSoftcap } = this.#sizes;
    const scores = this.#scaled("lm_head", this.#emit.project("lm_head", states, head), logitScale);
    if (logitSoftcap === 0) return scores;
    const limit = this.#emit.builder.scalar(logitSoftcap);
    const path = "lm_head.softcap";
    const bounded = this.#emit.node(path, "Tanh", [this.#emit.node(path, "Div", [scores, limit])]);
    return this.#emit.node(path, "Mul", [bounded, limit]);
  }

  #scaled(path: string, value: string, scale: number): string {
    if (scale === 1) return value;
    return this.#emit.node(`${path}.scale`, "Mul", [value, this.#emit.builder.scalar(scale)]);
  }

  #model(logits: string): Model {
    const { layers, keyValueHeads, headSize, vocabulary } = this.#sizes;
    const { builder, weights } = this.#emit;
    const cache = (length: string) => ["batch_size", keyValueHeads, length, headSize];
    const caches = (prefix: string, length: string): ValueInfo[] =>
      Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) =>
        ["key", "value"].map((kind) => ({
          name: `${prefix}.${layer}.${kind}`,
          type: { dtype: "float32" as const, shape: cache(length) },
        })),
      );
    const ids = (name: string, length: string): ValueInfo => ({
      name,
      type: { dtype: "int64", shape: ["batch_size", length] },
    });
    const renamed = new Map([[logits, "logits"]]);
    for (let layer = 0; layer < layers; layer++) {
      const output = `/model/layers.${layer}/self_attn/GroupQueryAttention/output`;
      renamed.set(`${output}_1`, `present.${layer}.key`).set(`${output}_2`, `present.${layer}.value`);
    }
    const taken = new Set(builder.nodes.flatMap(({ inputs }) => inputs));
    const nodes = builder.nodes.map((node) => ({
      ...node,
      outputs: node.outputs.map((output) => renamed.get(output) ?? output),
    }));
    return {
      irVersion: 10,
      producer: "microlora",
      opsets: new Map([
        ["", 21],
        [MICROSOFT, 1],
      ]),
      graph: {
        name: this.#file.metadata.text("general.name") ?? this.#sizes.name,
        nodes,
        inputs: [
          ids("input_ids", "sequence_length"),
          ids("attention_mask", "total_sequence_length"),
          { name: KEEP, type: { dtype: "int64", shape: [] } },
          ...caches("past_key_values", "past_sequence_length"),
        ],
        outputs: [
          { name: "logits", type: { dtype: "float32", shape: ["batch_size", "kept_length", vocabulary] } },
          ...caches("present", "total_sequence_length"),
        ],
        initializers: new Map([...weights.initializers, ...builder.initializers].filter(([name]) => taken.has(name))),
        types: new Map(),
      },
      functions: [],
      metadata: new Map(),
    };
  }
}

const MICROSOFT = "com.microsoft";
const INT32 = 6;
