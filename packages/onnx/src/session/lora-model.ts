import { MicroLora, type MicroLoraConfig } from "microlora";
import { OnnxError } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import { batchOf } from "../graft/graft.js";
import { findModules, type Module, type Modules, matchPattern, selectModules, type Targets } from "../graft/modules.js";
import { inferTypes } from "../graph/infer/infer.js";
import type { Dim, Graph, ValueInfo } from "../graph/ir.js";
import type { Loss } from "../loss/loss.js";
import { type Adapters, adapterFeeds, rowsOf } from "./adapters.js";
import { completeFeeds } from "./complete.js";
import { type DerivationCache, digestOf } from "./derivation-cache.js";
import { type Derived, deriveInference, type TypeOf } from "./derive.js";
import { checkFeeds, type Feeds } from "./feeds.js";
import type { ModelFiles } from "./files.js";
import { fingerprintOf } from "./fingerprint.js";
import { notLearnable } from "./inspect.js";
import { learnFrom } from "./learn.js";
import { shapesOfOne } from "./memory.js";
import { modern } from "./modern.js";
import type { Ort, OrtSession, OrtSessionOptions, OrtTensor } from "./ort.js";
import { servingOptions } from "./session-options.js";
import { createSession, encodeDerived, runSession, toOrt } from "./tensors.js";
import { type Gradients, Trainer } from "./trainer.js";

export interface OpenOptions {
  /** `onnxruntime-node` or `onnxruntime-web`. */
  readonly ort: Ort;
  /** Modules that get adapters; see `selectModules`. */
  readonly targets: Targets;
  /** For every session, over what this package needs: execution providers, threads, graph optimisation. */
  readonly sessionOptions?: OrtSessionOptions;
  /**
   * Bytes that the activations of one run may take, before batches are cut or refused: by default what is free of the
   * machine's memory (Node) or of the 4 GiB of WebAssembly, weights taken off.
   */
  readonly memoryLimit?: number;
  /** Where derived graphs are kept, so that another process need not derive them again; nowhere by default. */
  readonly cache?: DerivationCache;
}

export interface RunOptions {
  /** One adapter for every row, or one for each; the base model by default. */
  readonly adapters?: Adapters;
  /** Names of the outputs wanted; all by default. */
  readonly outputs?: readonly string[];
}

export interface GradientRequest {
  readonly feeds: Feeds;
  readonly loss: Loss;
  /** Rows that are computed at a time, where the loss allows it; as many as memory and cache hold by default. */
  readonly microBatch?: number;
}

/** Whose gradients are wanted. */
export interface GradientOptions {
  readonly adapter?: MicroLora;
  /** One for each row. */
  readonly adapters?: readonly (MicroLora | null)[];
}

export interface LearnOptions extends GradientOptions {
  /** A plain step of this length, instead of the one that the adapter is configured for. */
  readonly learningRate?: number;
}

/** What an adapter is made of, beside the widths of the model's modules. */
export type AdapterOptions = Omit<
  MicroLoraConfig,
  "hiddenSize" | "inFeatures" | "outFeatures" | "dimensions" | "targetModules" | "baseModel" | "bias"
>;

/** A model with adapters on some of its modules: made by `openModel`. */
export class LoraModel implements AsyncDisposable {
  /** Every module of the model, and what could not be one. */
  readonly found: Modules;
  /** The modules that the targets chose. */
  readonly modules: readonly Module[];
  /** What tells this base model from others; adapters carry it. */
  readonly fingerprint: string;
  readonly #files: ModelFiles;
  readonly #options: OpenOptions;
  readonly #batch: Dim | undefined;
  readonly #inference: Derived;
  readonly #session: OrtSession;
  readonly #trainer: Trainer;
  readonly #typeOf: TypeOf;
  #notLearnable: ReadonlyMap<string, string> | undefined;
  #disposed = false;

  private constructor(files: ModelFiles, options: OpenOptions, fingerprint: string, parts: Parts, session: OrtSession) {
    this.#files = files;
    this.#options = options;
    this.fingerprint = fingerprint;
    this.found = parts.found;
    this.modules = parts.modules;
    this.#inference = parts.inference;
    this.#typeOf = parts.typeOf;
    this.#session = session;
    this.#batch = batchOf(files.model.graph);
    this.#trainer = new Trainer({
      files,
      modules: parts.modules,
      typeOf: parts.typeOf,
      ports: parts.inference.ports,
      served: parts.served,
      batch: this.#batch,
      ...trainerOptions(options, files),
    });
  }

  /** @internal @throws OnnxError */
  static async open(given: ModelFiles, options: OpenOptions): Promise<LoraModel> {
    const files = { ...given, model: modern(given.model) };
    const fingerprint = await fingerprintOf(files);
    const { types } = inferTypes(files.model).graph;
    const typeOf: TypeOf = (value) => types.get(value);
    const found = findModules(files.model.graph, shapesOfOne(types));
    if (found.modules.length === 0) refuseBranches(files.model.graph);
    const modules = selectModules(found.modules, options.targets);
    const inference = deriveInference(files.model, modules, types);
    const bytes = encodeDerived(inference.model, files);
    const served = options.cache ? await digestOf(bytes, fingerprint) : "";
    const sessionOptions = servingOptions(inference.model.graph, options.sessionOptions ?? {});
    const session = await createSession(options.ort, bytes, files, sessionOptions);
    return new LoraModel(files, options, fingerprint, { found, modules, inference, typeOf, served }, session);
  }

  /** The onnxruntime that it was opened with. */
  get ort(): Ort {
    return this.#options.ort;
  }

  /**
   * The chosen modules that no output has a gradient for, and why: the operator and the node that cut them off. Found out when
   * first asked for, which takes about as long as a derivation.
   */
  get notLearnable(): ReadonlyMap<string, string> {
    this.#notLearnable ??= notLearnable(this.#files.model, this.modules, this.#typeOf);
    return this.#notLearnable;
  }

  /** The inputs that a run takes. */
  get inputs(): readonly ValueInfo[] {
    return this.#files.model.graph.inputs;
  }

  /** Feeds made whole; see `completeFeeds`. */
  complete(feeds: Feeds): Record<string, HostTensor> {
    return completeFeeds(this.inputs, feeds);
  }

  /**
   * A fresh adapter for the targets of this model, which changes nothing yet. Keys of `rankPattern` and `alphaPattern` name modules as
   * targets do.
   * @throws MicroLoraError `invalid-config`, `memory-full`; OnnxError `unknown-module`
   */
  async createAdapter(options: AdapterOptions = {}): Promise<MicroLora> {
    const { rankPattern = {}, alphaPattern = {} } = options;
    const dimensions = Object.fromEntries(
      this.modules.map(({ name, inFeatures, outFeatures }) => [name, { inFeatures, outFeatures }]),
    );
    return MicroLora.create({
      ...options,
      rankPattern: matchPattern(this.modules, rankPattern),
      alphaPattern: matchPattern(this.modules, alphaPattern),
      targetModules: Object.keys(dimensions),
      dimensions,
      baseModel: this.fingerprint,
    });
  }

  /**
   * The model's outputs. Adapters are read as they are now: a swap costs a copy of their weights.
   * @throws OnnxError `unknown-value`, `unsupported-type`, `shape-mismatch`, `wrong-base`, `unknown-module`, `disposed`
   */
  async run(feeds: Feeds, { adapters, outputs }: RunOptions = {}): Promise<Readonly<Record<string, OrtTensor>>> {
    this.#checkLive();
    const { ort } = this.#options;
    const sizes = checkFeeds(this.#files.model.graph, feeds, this.#batch);
    const { ports } = this.#inference;
    const adapted = adapterFeeds(ports, rowsOf(adapters, sizes, ports, this.fingerprint));
    const fed = { ...toOrt(ort, feeds), ...toOrt(ort, adapted) };
    return runSession(this.#session, fed, outputs && this.#checkOutputs(outputs));
  }

  /**
   * A loss and its exact gradients with respect to the adapters, which do not change.
   * @throws OnnxError as `run`, `out-of-range`, `not-finite`, `out-of-memory`, `unsupported-operator`
   */
  async gradients(request: GradientRequest, { adapter, adapters }: GradientOptions): Promise<Gradients> {
    this.#checkLive();
    const { feeds } = request;
    const sizes = checkFeeds(this.#files.model.graph, feeds, this.#batch);
    const { ports } = this.#inference;
    const rows = rowsOf(adapters ?? adapter, sizes, ports, this.fingerprint);
    if (rows.every((row) => row === null)) {
      throw new OnnxError("shape-mismatch", "adapter", "is missing", "Pass the adapter whose gradients are wanted");
    }
    return this.#trainer.gradients(request, rows, sizes, () => this.run(feeds, { outputs: request.loss.outputs }));
  }

  /** One step of learning: the loss, its gradients, and the adapters' own update. @throws as `gradients`; nothing has changed then */
  async learn(request: GradientRequest, options: LearnOptions): Promise<LearnResult> {
    const { loss, gradients, missing } = await this.gradients(request, options);
    return { loss, ...learnFrom(gradients, options.learningRate), missing };
  }

  /** Frees the sessions; adapters live on. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#session.release();
    await this.#trainer[Symbol.asyncDispose]();
  }

  #checkLive(): void {
    if (this.#disposed) throw new OnnxError("disposed", "model", "it was disposed of", "Open it again");
  }

  #checkOutputs(outputs: readonly string[]): readonly string[] {
    const known = this.#files.model.graph.outputs.map(({ name }) => name);
    const unknown = outputs.find((name) => !known.includes(name));
    if (unknown === undefined) return outputs;
    throw new OnnxError("unknown-value", unknown, "is no output of this model", `Name one of ${known.join(", ")}`);
  }
}

export interface LearnResult {
  readonly loss: number;
  /** Length of the whole gradient. */
  readonly gradientNorm: number;
  /** The modules that this loss gives no gradient, and why; they stay as they are. */
  readonly missing: ReadonlyMap<string, string>;
}

/** A merged decoder has every module in the branches of an If, which one is told by each run. */
function refuseBranches({ nodes }: Graph): void {
  const branching = nodes.find(({ op, domain }) => op === "If" && domain === "");
  if (branching === undefined) return;
  throw new OnnxError(
    "unsupported-operator",
    branching.name,
    `${branching.inputs[0]} chooses at each run between graphs that hold all modules`,
    "Open the export that takes past keys and values in every run (decoder_with_past_model.onnx, or a model.onnx made without merging)",
  );
}

interface Parts {
  readonly found: Modules;
  readonly modules: readonly Module[];
  readonly inference: Derived;
  readonly typeOf: TypeOf;
  readonly served: string;
}

function trainerOptions({ ort, sessionOptions = {}, memoryLimit, cache }: OpenOptions, files: ModelFiles) {
  return { ort, sessionOptions, cache, memoryLimit: () => memoryLimit ?? files.freeMemory() };
}
