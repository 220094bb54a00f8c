import type { Adapters, HostTensor, LearnResult, LoraModel, Loss } from "@microlora/onnx";
import type { MicroLora } from "microlora";
import { ChatError } from "../base/errors.js";

/** Keys and values of the tokens before, by input name: [1, heads, length, size] each. */
export interface Cache {
  readonly length: number;
  readonly values: ReadonlyMap<string, HostTensor>;
}

/** What a run gives of the tokens of one row. */
export interface Prefilled {
  /** Scores of the next token after each kept token: [kept, vocabulary]. */
  readonly scores: readonly Float32Array[];
  /** Hidden states of every token, [tokens, width], by layer. */
  readonly states: ReadonlyMap<number, readonly Float32Array[]>;
  readonly cache: Cache;
}

/** The input that says of how many tokens scores are wanted, where a model has it. */
const KEEP = "num_logits_to_keep";

/** Runs a decoder with keys and values that the caller keeps. */
export class Engine {
  readonly model: LoraModel;
  /** Tokens of a conversation and its answer at most. */
  readonly context: number;
  readonly #layers: readonly number[];
  readonly #pasts: readonly string[];
  /** The run before. onnxruntime-web's WebAssembly hangs where several runs of a session are under way. */
  #turn: Promise<unknown> = Promise.resolve();

  /** @param layers whose hidden states the model gives out @throws ChatError `unsupported-model` without keys and values */
  constructor(model: LoraModel, layers: readonly number[], context: number) {
    this.model = model;
    this.context = context;
    this.#layers = layers;
    this.#pasts = model.inputs
      .map(({ name }) => name)
      .filter((name) => /^past_key_values\.\d+\.(key|value)$/.test(name));
    const missing = model.inputs.find(({ name }) => !KNOWN.test(name));
    if (this.#pasts.length > 0 && missing === undefined) return;
    const problem = missing === undefined ? "keeps no keys and values" : `takes ${missing.name}`;
    throw new ChatError("unsupported-model", "model", problem, "Use a GGUF, or an export with past keys and values");
  }

  /**
   * Takes up the tokens of one row.
   * @param keep tokens from the end whose scores are wanted
   * @throws ChatError `text-too-long`
   */
  async prefill(
    tokens: readonly number[],
    { cache, adapter = null, keep = 1 }: { cache?: Cache | undefined; adapter?: MicroLora | null; keep?: number } = {},
  ): Promise<Prefilled> {
    const past = cache?.length ?? 0;
    if (past + tokens.length > this.context) {
      const problem = `the conversation has ${past + tokens.length} tokens, and the model reads ${this.context}`;
      throw new ChatError("text-too-long", "text", problem, "Pass a shorter text or history");
    }
    const feeds = {
      ...this.#common([tokens], [past + tokens.length], keep),
      ...(cache === undefined ? {} : Object.fromEntries(cache.values)),
    };
    const outputs = await this.#run(feeds, adapter);
    const { data, dims } = outputs.logits as { readonly data: Float32Array; readonly dims: readonly number[] };
    const [, length = 0, vocabulary = 0] = dims;
    const from = Math.max(0, length - keep);
    const scores = Array.from({ length: length - from }, (_, i) =>
      data.subarray((from + i) * vocabulary, (from + i + 1) * vocabulary),
    );
    return { scores, states: this.#statesOf(outputs), cache: this.#cacheOf(outputs, past + tokens.length) };
  }

  /** A batch of rows that go on one token at a time. */
  batch(rows: readonly Cache[]): Batch {
    return new Batch(this, rows);
  }

  /** @internal One token for each row. @returns scores [rows, vocabulary], and all keys and values */
  async step(
    tokens: readonly number[],
    lengths: readonly number[],
    pasts: Readonly<Record<string, HostTensor>>,
    adapters: readonly (MicroLora | null)[],
  ): Promise<{ readonly scores: readonly Float32Array[]; readonly pasts: Record<string, HostTensor> }> {
    const feeds = {
      ...this.#common(
        tokens.map((token) => [token]),
        lengths,
        1,
      ),
      ...pasts,
    };
    const outputs = await this.#run(feeds, adapters);
    const { data, dims } = outputs.logits as { readonly data: Float32Array; readonly dims: readonly number[] };
    const vocabulary = dims.at(-1)!;
    const next: Record<string, HostTensor> = {};
    for (const name of this.#pasts) next[name] = outputs[presentOf(name)]!;
    return { scores: tokens.map((_, row) => data.subarray(row * vocabulary, (row + 1) * vocabulary)), pasts: next };
  }

  /** Makes one gradient step, between two runs. @param tokens rows of any lengths; padded on the right, as the places of the loss are */
  learn(tokens: readonly (readonly number[])[], loss: Loss, adapter: MicroLora): Promise<LearnResult> {
    const longest = Math.max(...tokens.map((row) => row.length));
    const places = Array.from({ length: longest }, (_, t) => t);
    const shape = [tokens.length, longest];
    const feeds = {
      input_ids: int64(
        tokens.flatMap((row) => places.map((t) => row[t] ?? 0)),
        shape,
      ),
      attention_mask: int64(
        tokens.flatMap((row) => places.map((t) => (t < row.length ? 1 : 0))),
        shape,
      ),
      ...(this.#has("position_ids") && {
        position_ids: int64(
          tokens.flatMap(() => places),
          shape,
        ),
      }),
      ...(this.#has(KEEP) && { [KEEP]: int64([0], []) }),
    };
    return this.#inTurn(() => this.model.learn({ feeds: this.model.complete(feeds), loss }, { adapter }));
  }

  #run(feeds: Readonly<Record<string, HostTensor>>, adapters: Adapters): Promise<Readonly<Record<string, HostTensor>>> {
    return this.#inTurn(() => this.model.run(this.model.complete(feeds), { adapters }));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  #has(name: string): boolean {
    return this.model.inputs.some((input) => input.name === name);
  }

  #common(
    tokens: readonly (readonly number[])[],
    lengths: readonly number[],
    keep: number,
  ): Record<string, HostTensor> {
    const total = Math.max(...lengths);
    const mask = lengths.flatMap((length) => Array.from({ length: total }, (_, i) => (i < length ? 1 : 0)));
    const rows = tokens.length;
    const positions = tokens.flatMap((row, i) => row.map((_, t) => lengths[i]! - row.length + t));
    return {
      input_ids: int64(tokens.flat(), [rows, tokens[0]!.length]),
      attention_mask: int64(mask, [rows, total]),
      ...(this.#has("position_ids") && { position_ids: int64(positions, [rows, tokens[0]!.length]) }),
      ...(this.#has(KEEP) && { [KEEP]: int64([keep], []) }),
    };
  }

  #statesOf(outputs: Readonly<Record<string, HostTensor>>): Prefilled["states"] {
    return new Map(
      this.#layers.map((layer) => {
        const { data, dims } = outputs[`hidden_states.${layer}`]!;
        const [, length = 0, width = 0] = dims;
        const rows = Array.from({ length }, (_, t) => (data as Float32Array).slice(t * width, (t + 1) * width));
        return [layer, rows];
      }),
    );
  }

  #cacheOf(outputs: Readonly<Record<string, HostTensor>>, length: number): Cache {
    return { length, values: new Map(this.#pasts.map((name) => [name, outputs[presentOf(name)]!])) };
  }
}

/** Inputs that the engine feeds. */
const KNOWN = /^(input_ids|attention_mask|position_ids|num_logits_to_keep|past_key_values\.\d+\.(key|value))$/;

function presentOf(past: string): string {
  return past.replace("past_key_values", "present");
}

function int64(values: readonly number[], dims: readonly number[]): HostTensor {
  return { type: "int64", dims, data: BigInt64Array.from(values, BigInt) };
}

/** Rows that are decoded together; their keys and values lie side by side, padded on the right. */
export class Batch {
  readonly #engine: Engine;
  #lengths: number[];
  #pasts: Record<string, HostTensor>;

  constructor(engine: Engine, rows: readonly Cache[]) {
    this.#engine = engine;
    this.#lengths = rows.map(({ length }) => length);
    this.#pasts = join(rows);
  }

  get size(): number {
    return this.#lengths.length;
  }

  /** Tokens that each row has. */
  get lengths(): readonly number[] {
    return this.#lengths;
  }

  /** Goes on by one token a row. @returns scores of the next token of each row */
  async step(tokens: readonly number[], adapters: readonly (MicroLora | null)[]): Promise<readonly Float32Array[]> {
    const lengths = this.#lengths.map((length) => length + 1);
    const { scores, pasts } = await this.#engine.step(tokens, lengths, this.#pasts, adapters);
    this.#lengths = lengths;
    this.#pasts = pasts;
    return scores;
  }

  /** Keys and values of one row. */
  cacheOf(row: number): Cache {
    const length = this.#lengths[row]!;
    const values = new Map(Object.entries(this.#pasts).map(([name, tensor]) => [name, rowOf(tensor, row, length)]));
    return { length, values };
  }
}

function rowOf({ data, dims, type }: HostTensor, row: number, length: number): HostTensor {
  const [, heads = 0, total = 0, size = 0] = dims;
  const all = data as Float32Array;
  const own = new Float32Array(heads * length * size);
  for (let head = 0; head < heads; head++) {
    const from = (row * heads + head) * total * size;
    own.set(all.subarray(from, from + length * size), head * length * size);
  }
  return { type, dims: [1, heads, length, size], data: own };
}

function join(rows: readonly Cache[]): Record<string, HostTensor> {
  const longest = Math.max(...rows.map(({ length }) => length));
  const joined: Record<string, HostTensor> = {};
  for (const [name, { dims, type }] of rows[0]?.values ?? []) {
    const [, heads = 0, , size = 0] = dims;
    const data = new Float32Array(rows.length * heads * longest * size);
    for (const [row, { length, values }] of rows.entries()) {
      const own = values.get(name)!.data as Float32Array;
      for (let head = 0; head < heads; head++) {
        const from = head * length * size;
        data.set(own.subarray(from, from + length * size), (row * heads + head) * longest * size);
      }
    }
    joined[name] = { type, dims: [rows.length, heads, longest, size], data };
  }
  return joined;
}
