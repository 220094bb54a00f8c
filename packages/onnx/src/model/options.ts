import type { MicroLora, MicroLoraConfig } from "microlora";
import { checkObject, checkOptions, refuseArgument } from "../base/check.js";
import type { GgufOptions } from "../gguf/files.js";
import type { Targets } from "../graft/modules.js";
import type { Loss } from "../loss/loss.js";
import type { Adapters } from "../run/adapters.js";
import type { Feeds } from "../run/feeds.js";
import type { Ort, OrtSessionOptions } from "../run/ort.js";
import type { DerivationCache } from "../train/derivation-cache.js";

/** Options of `openModel`. */
export interface OpenOptions {
  /** `onnxruntime-node` or `onnxruntime-web`. */
  readonly ort: Ort;
  /** Modules that get adapters; see `selectModules`. */
  readonly targets: Targets;
  /** For every session, over what this package needs: execution providers, threads, graph optimisation. */
  readonly sessionOptions?: OrtSessionOptions;
  /**
   * Bytes that the activations of one run may take, before batches are cut or refused. By default what is free of the machine's
   * memory (Node) or of the 4 GiB of WebAssembly, less the weights.
   */
  readonly memoryLimit?: number;
  /** Where derived graphs are kept, so that another process need not derive them again; nowhere by default. */
  readonly cache?: DerivationCache;
  /** Called as bytes of a model that is fetched arrive. */
  readonly onProgress?: (progress: FetchProgress) => void;
  /** Stops fetching. */
  readonly signal?: AbortSignal;
  /**
   * Layers whose hidden states are given out too, as `hidden_states.LAYER`: the residual stream [batch, sequence, width] before that block.
   * Negative ones count from the end: -1 is behind the last block. Default: none
   */
  readonly hiddenStates?: readonly number[];
  /** How a GGUF file becomes a graph. */
  readonly gguf?: GgufOptions;
}

/** How much of a file has arrived. */
export interface FetchProgress {
  /** Address of the file. */
  readonly url: string;
  /** Bytes that have arrived. */
  readonly loaded: number;
  /** As the server says; undefined if it does not. */
  readonly total: number | undefined;
}

/** Options of `LoraModel.run`. */
export interface RunOptions {
  /** One adapter for every row, or one for each; the base model by default. */
  readonly adapters?: Adapters;
  /** Names of the outputs wanted; all by default. */
  readonly outputs?: readonly string[];
}

/** A loss and the feeds that it is computed of. */
export interface GradientRequest {
  /** Inputs of the model. */
  readonly feeds: Feeds;
  /** What is to become smaller. */
  readonly loss: Loss;
  /** Rows that are computed at a time, where the loss allows it; as many as memory and cache hold by default. */
  readonly microBatch?: number;
}

/** Whose gradients are wanted. */
export interface GradientOptions {
  /** The adapter whose gradients are wanted, for every row. */
  readonly adapter?: MicroLora;
  /** One for each row. */
  readonly adapters?: readonly (MicroLora | null)[];
  /**
   * Whether the means of single examples' squared gradients are wanted too, as `squares`; false by default. An example is
   * a row, a pair for `dpo`, and the whole batch for a loss that compares rows.
   */
  readonly examples?: boolean;
}

/** Options of `LoraModel.learn`. */
export interface LearnOptions extends Omit<GradientOptions, "examples"> {
  /** Length of a plain step, instead of the adapter's own optimiser and schedule. */
  readonly learningRate?: number;
}

/** Options of a new adapter. The widths come from the model's modules. */
export type AdapterOptions = Omit<
  MicroLoraConfig,
  "hiddenSize" | "inFeatures" | "outFeatures" | "dimensions" | "targetModules" | "baseModel" | "bias"
>;

const OPEN = [
  "ort",
  "targets",
  "sessionOptions",
  "memoryLimit",
  "cache",
  "onProgress",
  "signal",
  "gguf",
  "hiddenStates",
];

/** @throws OnnxError `invalid-argument` */
export function checkOpenOptions(options: OpenOptions): void {
  checkOptions(options, OPEN, "options");
  const { ort, memoryLimit, sessionOptions, cache, targets } = options;
  if (typeof ort?.InferenceSession?.create !== "function" || typeof ort.Tensor !== "function") {
    refuseArgument(
      "options.ort",
      ort,
      'Pass onnxruntime: import * as ort from "onnxruntime-node" or "onnxruntime-web"',
    );
  }
  if (targets === undefined)
    refuseArgument("options.targets", targets, 'Name the modules to adapt: ["q_proj", "v_proj"], or "all-linear"');
  if (sessionOptions !== undefined)
    checkObject(sessionOptions, "options.sessionOptions", "Pass onnxruntime's session options");
  if (memoryLimit !== undefined && !(typeof memoryLimit === "number" && memoryLimit > 0))
    refuseArgument("options.memoryLimit", memoryLimit, "Pass a number of bytes");
  if (cache !== undefined && (typeof cache?.get !== "function" || typeof cache.set !== "function"))
    refuseArgument("options.cache", cache, "Pass an object with get(key) and set(key, bytes)");
}

/** @throws OnnxError `invalid-argument` */
export function checkRunOptions(options: RunOptions): void {
  checkOptions(options, ["adapters", "outputs"], "options");
  const { outputs } = options;
  if (outputs !== undefined && !(Array.isArray(outputs) && outputs.every((each) => typeof each === "string")))
    refuseArgument("options.outputs", outputs, "Pass a list of names");
}

/** @throws OnnxError `invalid-argument` */
export function checkRequest(request: GradientRequest): void {
  checkOptions(request, ["feeds", "loss", "microBatch"], "request");
  const { loss, feeds, microBatch } = request;
  checkObject(feeds, "request.feeds", "Pass a tensor for each input of the model");
  const isLoss = typeof loss?.build === "function" && typeof loss.feeds === "function" && Array.isArray(loss.outputs);
  if (!isLoss) refuseArgument("request.loss", loss, "Pass a loss, such as tokenNll({ labels })");
  if (microBatch !== undefined && !(Number.isSafeInteger(microBatch) && microBatch > 0))
    refuseArgument("request.microBatch", microBatch, "Pass a number of rows");
}

/** @throws OnnxError `invalid-argument` */
export function checkGradientOptions(options: GradientOptions | LearnOptions, known: readonly string[]): void {
  checkOptions(options, ["adapter", "adapters", ...known], "options");
  const { adapter, adapters } = options;
  if (adapter !== undefined && adapters !== undefined)
    refuseArgument("options.adapters", adapters, "Pass `adapter` for all rows, or `adapters` with one for each");
  if (Array.isArray(adapter)) refuseArgument("options.adapter", adapter, "Pass one for each row as `adapters`");
}
