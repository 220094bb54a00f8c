import { Tokenizer } from "@huggingface/tokenizers";
import type { Embedder } from "@microlora/search";
import { MicroLoraError } from "microlora";

/** The part of an onnxruntime tensor that is used here. */
export interface OnnxTensor {
  /** Element type, such as `float32`. */
  readonly type: string;
  /** Size of each dimension. */
  readonly dims: readonly number[];
  /** Elements, row-major. */
  readonly data: unknown;
}

/** The part of an onnxruntime session that is used here. */
export interface OnnxSession {
  /** Names of its inputs. */
  readonly inputNames: readonly string[];
  /** Names of its outputs. */
  readonly outputNames: readonly string[];
  /** Runs the model. */
  run(feeds: Readonly<Record<string, OnnxTensor>>): Promise<Readonly<Record<string, OnnxTensor>>>;
  /** Frees the session. */
  release(): Promise<void>;
}

/** The part of onnxruntime that is used here; `onnxruntime-node` and `onnxruntime-web` both have it. */
export interface OnnxRuntime {
  /** Settings of onnxruntime. */
  readonly env?: { readonly versions?: { readonly node?: string } };
  /** Of an element type, data and dimensions; onnxruntime types it for each element type apart. */
  readonly Tensor: new (
    ...parts: never[]
  ) => OnnxTensor;
  /** Makes sessions. */
  readonly InferenceSession: { create(model: string | Uint8Array, options?: object): Promise<OnnxSession> };
}

/** How the vectors of a text's tokens become one: their mean, the first one's, or the last one's. */
export type Pooling = "mean" | "cls" | "last";

/** Options of `onnxEmbedder`. */
export interface OnnxEmbedderOptions {
  /** `onnxruntime-node` or `onnxruntime-web`. */
  readonly ort: OnnxRuntime;
  /** The model's file in the folder; by default the first of model.onnx, onnx/model.onnx and onnx/model_quantized.onnx. */
  readonly file?: string;
  /** By default as `1_Pooling/config.json` says, else `"mean"`. A model that gives one vector a text needs none. */
  readonly pooling?: Pooling;
  /** Whether vectors are scaled to length 1; true by default. */
  readonly normalize?: boolean;
  /** Put before each text, such as `"query: "` for E5; empty by default. */
  readonly prefix?: string;
  /** Tokens of a text at most; the rest is cut off. By default as the folder's configuration says, else 512. */
  readonly maxTokens?: number;
  /** Differs between embedders; by default a hash of the model's file and of these options. */
  readonly fingerprint?: string;
  /** Options of the onnxruntime session, such as `executionProviders`. */
  readonly sessionOptions?: object;
}

/** A model in ONNX as the embedder of a `PersonalSearch`. */
export type OnnxEmbedder = Embedder & {
  readonly dimensions: number;
  readonly fingerprint: string;
  embedBatch(texts: readonly string[]): Promise<readonly Float32Array[]>;
  /** Frees the session. */
  close(): Promise<void>;
};

const MODELS = ["model.onnx", "onnx/model.onnx", "onnx/model_quantized.onnx"];

/**
 * Opens a folder of a sentence embedder, as Hugging Face has them: an ONNX model and `tokenizer.json`, with `tokenizer_config.json`,
 * `config.json`, `sentence_bert_config.json` and `1_Pooling/config.json` where they are there.
 *
 * @param folder a path in Node, or the address of a folder
 * @throws MicroLoraError `invalid-argument` for an option, `no-such-file`, and `unsupported-model` for a model with other inputs or outputs;
 * what onnxruntime throws
 */
export async function onnxEmbedder(folder: string, options: OnnxEmbedderOptions): Promise<OnnxEmbedder> {
  checkOptions(options);
  const files = new Folder(folder);
  const [name, bytes] = await files.first(options.file === undefined ? MODELS : [options.file]);
  const config = (await files.json("tokenizer_config.json")) ?? {};
  const tokenizer = tokenizerOf(
    (await files.json("tokenizer.json")) ?? missing(files.pathOf("tokenizer.json")),
    config,
  );
  const pooling = options.pooling ?? poolingOf(await files.json("1_Pooling/config.json"));
  const { normalize = true, prefix = "" } = options;
  const maxTokens =
    options.maxTokens ??
    lengthOf((await files.json("sentence_bert_config.json"))?.max_seq_length, config.model_max_length) ??
    lengthOf((await files.json("config.json"))?.max_position_embeddings) ??
    512;
  const { ort } = options;
  // By path, onnxruntime-node finds the data files beside the model.
  const source = ort.env?.versions?.node !== undefined && !files.isRemote ? files.pathOf(name) : bytes;
  const session = await ort.InferenceSession.create(source, options.sessionOptions ?? {});
  const model = new SentenceModel({ ort, session, tokenizer, pooling, normalize, prefix, maxTokens });
  const [probe] = await model.embed(["dimensions"]);
  const dimensions = probe!.length;
  const settings = JSON.stringify([pooling, normalize, prefix, maxTokens]);
  const fingerprint = options.fingerprint ?? `onnx ${await hashOf(bytes, settings)}`;
  return { dimensions, fingerprint, embedBatch: (texts) => model.embed(texts), close: () => session.release() };
}

interface Parts {
  readonly ort: OnnxRuntime;
  readonly session: OnnxSession;
  readonly tokenizer: Tokenizer;
  readonly pooling: Pooling;
  readonly normalize: boolean;
  readonly prefix: string;
  readonly maxTokens: number;
}

/** Texts to vectors by a session whose inputs and outputs are known. */
class SentenceModel {
  readonly #parts: Parts;
  readonly #output: string;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { inputNames, outputNames } = parts.session;
    const unknown = inputNames.find((name) => !Object.hasOwn(FEEDS, name));
    if (unknown !== undefined || !inputNames.includes("input_ids")) {
      const problem = `has the inputs ${inputNames.join(", ")}`;
      throw new MicroLoraError(
        "unsupported-model",
        "model",
        problem,
        `Export it with ${Object.keys(FEEDS).join(", ")}`,
      );
    }
    this.#output = OUTPUTS.find((name) => outputNames.includes(name)) ?? outputNames[0]!;
  }

  async embed(texts: readonly string[]): Promise<readonly Float32Array[]> {
    if (texts.length === 0) return [];
    const { ort, session, normalize } = this.#parts;
    const rows = texts.map((text) => this.#tokensOf(text));
    const width = Math.max(1, ...rows.map(({ length }) => length));
    const dims = [rows.length, width];
    const feeds = Object.fromEntries(
      session.inputNames.map((name) => {
        const data = BigInt64Array.from(
          rows.flatMap((row) => Array.from({ length: width }, (_, i) => FEEDS[name]!(row, i))),
        );
        return [name, new ort.Tensor(...(["int64", data, dims] as never[]))];
      }),
    );
    const found = (await session.run(feeds))[this.#output]!;
    const vectors = this.#vectorsOf(found, rows);
    return normalize ? vectors.map(unit) : vectors;
  }

  /** Tokens of a text, special ones around them, of which the last ones stay when a long text is cut. */
  #tokensOf(text: string): readonly number[] {
    const { tokenizer, prefix, maxTokens } = this.#parts;
    const { ids } = tokenizer.encode(prefix + text);
    if (ids.length <= maxTokens) return ids;
    const { ids: around } = tokenizer.encode("");
    const isLast = around.length > 0 && ids.at(-1) === around.at(-1);
    return isLast ? [...ids.slice(0, maxTokens - 1), ids.at(-1)!] : ids.slice(0, maxTokens);
  }

  #vectorsOf(
    found: { readonly dims: readonly number[]; readonly data: unknown },
    rows: readonly (readonly number[])[],
  ) {
    const { dims, data } = found;
    if (!(data instanceof Float32Array) || dims[0] !== rows.length || (dims.length !== 2 && dims.length !== 3)) {
      const problem = `gives ${this.#output} as ${data?.constructor?.name} of [${dims.join(", ")}]`;
      const remedy = "Export it with float32 vectors of [batch, tokens, width] or [batch, width]";
      throw new MicroLoraError("unsupported-model", "model", problem, remedy);
    }
    const width = dims.at(-1)!;
    if (dims.length === 2) return rows.map((_, i) => data.slice(i * width, (i + 1) * width));
    return rows.map(({ length }, i) => {
      const first = i * dims[1]! * width;
      return this.#pooled(data.subarray(first, first + length * width), width);
    });
  }

  /** One vector from the vectors of a text's tokens. */
  #pooled(tokens: Float32Array, width: number): Float32Array {
    const { pooling } = this.#parts;
    if (pooling === "cls") return tokens.slice(0, width);
    if (pooling === "last") return tokens.slice(tokens.length - width);
    const sums = new Float64Array(width);
    for (let i = 0; i < tokens.length; i++) sums[i % width]! += tokens[i]!;
    return Float32Array.from(sums, (sum) => sum / (tokens.length / width));
  }
}

/** What each input is given for the token at a place of a row; padding is behind the row's tokens. */
const FEEDS: Readonly<Record<string, (row: readonly number[], at: number) => bigint>> = {
  input_ids: (row, at) => BigInt(row[at] ?? 0),
  attention_mask: (row, at) => (at < row.length ? 1n : 0n),
  token_type_ids: () => 0n,
  position_ids: (_, at) => BigInt(at),
};

/** Outputs by preference: a vector for each text, then the vectors of tokens. */
const OUTPUTS = ["sentence_embedding", "last_hidden_state", "token_embeddings"];

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}

function tokenizerOf(json: Json, config: Json): Tokenizer {
  try {
    return new Tokenizer(json, config);
  } catch (cause) {
    const problem = `is refused: ${cause instanceof Error ? cause.message : cause}`;
    throw new MicroLoraError("unsupported-model", "tokenizer.json", problem, "Use a model with a common tokenizer", {
      cause,
    });
  }
}

/** `1_Pooling/config.json` of sentence-transformers. */
function poolingOf(config: Json | undefined): Pooling {
  if (config?.pooling_mode_cls_token === true) return "cls";
  return config?.pooling_mode_lasttoken === true ? "last" : "mean";
}

/** The first of some numbers that is a length; tokenizers without a limit say 1e30. */
function lengthOf(...values: readonly unknown[]): number | undefined {
  return values.find((value): value is number => Number.isInteger(value) && Number(value) > 1 && Number(value) < 1e6);
}

// biome-ignore lint/suspicious/noExplicitAny: files of many programs, each field of which is checked where it is used.
type Json = Readonly<Record<string, any>>;

/** Files below a path or an address. */
class Folder {
  readonly isRemote: boolean;
  readonly #folder: string;

  constructor(folder: string) {
    if (typeof folder !== "string" || folder === "") {
      throw invalid("folder", folder, "Pass the path or the address of a folder");
    }
    this.#folder = folder.replace(/[/\\]$/, "");
    this.isRemote = /^https?:/.test(folder) || typeof globalThis.process?.getBuiltinModule !== "function";
  }

  pathOf(name: string): string {
    return `${this.#folder}/${name}`;
  }

  /** The first of some files that is there. @throws MicroLoraError `no-such-file` */
  async first(names: readonly string[]): Promise<[string, Uint8Array]> {
    for (const name of names) {
      const bytes = await this.read(name);
      if (bytes !== undefined) return [name, bytes];
    }
    return missing(names.map((name) => this.pathOf(name)).join(", "));
  }

  /** A file that may be missing. */
  async read(name: string): Promise<Uint8Array | undefined> {
    if (this.isRemote) {
      const response = await fetch(this.pathOf(name));
      // A server of a page app answers with its page, whatever is asked for.
      const isPage = response.headers.get("content-type")?.startsWith("text/html");
      return response.ok && !isPage ? new Uint8Array(await response.arrayBuffer()) : undefined;
    }
    const { readFile } = process.getBuiltinModule("node:fs/promises");
    return readFile(this.pathOf(name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
      throw error;
    });
  }

  async json(name: string): Promise<Json | undefined> {
    const bytes = await this.read(name);
    if (bytes === undefined) return undefined;
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch (cause) {
      throw new MicroLoraError("unsupported-model", this.pathOf(name), "is not JSON", "Fetch it anew", { cause });
    }
  }
}

function missing(where: string): never {
  const remedy = "Pass a folder with an ONNX model and its tokenizer.json, or name the model by `file`";
  throw new MicroLoraError("no-such-file", where, "is not there", remedy);
}

async function hashOf(bytes: Uint8Array, settings: string): Promise<string> {
  const { subtle } = globalThis.crypto;
  if (subtle === undefined) {
    const remedy = "Pass a `fingerprint`, which differs between models, or serve the page by https";
    throw new MicroLoraError("invalid-argument", "fingerprint", "cannot be made on a page of plain http", remedy);
  }
  const model = new Uint8Array(await subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  const all = new Uint8Array([...model, ...new TextEncoder().encode(settings)]);
  const hash = new Uint8Array(await subtle.digest("SHA-256", all));
  return Array.from(hash.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function checkOptions(options: OnnxEmbedderOptions): void {
  if (typeof options?.ort?.InferenceSession?.create !== "function") {
    throw invalid("ort", options?.ort, 'Pass import * as ort from "onnxruntime-node", or "onnxruntime-web"');
  }
  const { pooling, maxTokens, prefix, file } = options;
  if (pooling !== undefined && !["mean", "cls", "last"].includes(pooling)) {
    throw invalid("pooling", pooling, 'Pass "mean", "cls" or "last"');
  }
  if (maxTokens !== undefined && !(Number.isInteger(maxTokens) && maxTokens > 1)) {
    throw invalid("maxTokens", maxTokens, "Pass a whole number above 1");
  }
  if (prefix !== undefined && typeof prefix !== "string") throw invalid("prefix", prefix, "Pass a text");
  if (file !== undefined && typeof file !== "string") throw invalid("file", file, "Pass a name inside the folder");
}

function invalid(where: string, value: unknown, remedy: string): MicroLoraError {
  const said = typeof value === "string" ? JSON.stringify(value) : String(value);
  return new MicroLoraError("invalid-argument", where, `is ${said}`, remedy);
}
