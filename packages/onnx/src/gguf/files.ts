import { OnnxError } from "../base/errors.js";
import { elementCount } from "../graph/dtype.js";
import type { Tensor } from "../graph/ir.js";
import type { ByteSource } from "../graph/serde/source.js";
import type { ModelFiles } from "../run/files.js";
import { writeGraph } from "./graph.js";
import { hyperparametersOf } from "./hyperparameters.js";
import { type GgufFile, readGguf } from "./read.js";
import { type WeightMode, Weights } from "./weights.js";

/** How a GGUF file becomes a graph. */
export interface GgufOptions {
  /**
   * `blocks`: the file's own blocks, of 4 or 8 bits. `float32`: dequantised, at four to eight times the memory. Default: `blocks`; but
   * `float32` in WebAssembly, which has no kernels for blocks and is several times slower through them, where that takes 1 GB at most.
   */
  readonly weights?: WeightMode;
  /**
   * `int8`, the default: activations are rounded to 8 bits in blocks before they meet weights in blocks, as llama.cpp does, which is
   * several times as fast. `float32`: not rounded. Learning never rounds them.
   */
  readonly activations?: "int8" | "float32";
  /** Tokens that keys and values can be kept of. Default: the model's own context, at most 8192 */
  readonly contextLength?: number;
}

const DEFAULT_CONTEXT = 8192;

/** Weights that WebAssembly gets in float32 at most: its memory holds 4 GiB, and has each of them twice for a time. */
const WASM_FLOATS = 2 ** 28;

/** Where the graph of a GGUF file is to run. */
export interface GgufHost {
  readonly isWasm: boolean;
  /** Bytes that are free for activations, given what the weights take. */
  freeMemory(weights: number): number;
}

/**
 * The ONNX model of a GGUF file, with its weights in memory.
 * @throws OnnxError `invalid-gguf`, `truncated`, `unsupported-type`, `unsupported-architecture`, `not-finite`, `out-of-range`
 */
export function filesOfGguf(source: ByteSource, options: GgufOptions, host: GgufHost): ModelFiles {
  const file = readGguf(source);
  const sizes = hyperparametersOf(file);
  const weights = new Weights(file, options.weights ?? defaultWeights(file, host));
  const contextLength = checkContext(options.contextLength ?? Math.min(sizes.contextLength, DEFAULT_CONTEXT));
  const accuracyLevel = options.activations === "float32" ? 1 : 4;
  const model = writeGraph(file, sizes, weights, { contextLength, accuracyLevel });
  const total = [...weights.data.values()].reduce((sum, { length }) => sum + length, 0);
  return {
    model,
    self: "model.onnx",
    options: { externalData: [...weights.data].map(([path, data]) => ({ path, data })) },
    freeMemory: () => host.freeMemory(total),
    read: (tensor, offset, length) => bytesOf(tensor, weights).subarray(offset, offset + length),
  };
}

function defaultWeights({ tensors }: GgufFile, { isWasm }: GgufHost): WeightMode {
  const elements = [...tensors.values()].reduce((sum, { dims }) => sum + elementCount(dims), 0);
  return isWasm && elements <= WASM_FLOATS ? "float32" : "blocks";
}

function bytesOf({ data }: Tensor, weights: Weights): Uint8Array {
  if (data.kind === "bytes") return data.bytes;
  return data.kind === "external" ? weights.data.get(data.location)! : new Uint8Array();
}

function checkContext(tokens: number): number {
  if (Number.isInteger(tokens) && tokens > 0 && tokens <= 1 << 24) return tokens;
  throw new OnnxError("out-of-range", "contextLength", `is ${tokens}`, "Pass a count of tokens");
}
