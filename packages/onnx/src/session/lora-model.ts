import { MicroLora, type MicroLoraConfig } from "microlora";
import { OnnxError } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import { batchOf, type Port } from "../graft/graft.js";
import { type Module, type Modules, matchPattern, selectModules, type Targets } from "../graft/modules.js";
import type { Dim, Graph, ValueInfo } from "../graph/ir.js";
import { choiceOf, joinBranches } from "../graph/passes/branches.js";
import type { Loss } from "../loss/loss.js";
import { type Adapters, adapterFeeds, rowsOf } from "./adapters.js";
import { anatomyOf, type TypedBranch } from "./branches.js";
import { completeFeeds } from "./complete.js";
import { type DerivationCache, digestOf } from "./derivation-cache.js";
import { deriveInference, type TypeOf } from "./derive.js";
import { checkFeeds, type Feeds } from "./feeds.js";
import type { ModelFiles } from "./files.js";
import { fingerprintOf } from "./fingerprint.js";
import { notLearnable } from "./inspect.js";
import { learnFrom } from "./learn.js";
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
  readonly #options: OpenOptions;
  /** As callers see it: the inputs that a run takes, and its outputs. */
  readonly #graph: Graph;
  readonly #branches: readonly AdaptedBranch[];
  readonly #session: OrtSession;
  #notLearnable: ReadonlyMap<string, string> | undefined;
  #disposed = false;

  private constructor(options: OpenOptions, fingerprint: string, { found, modules, graph, branches, session }: Parts) {
    this.#options = options;
    this.fingerprint = fingerprint;
    this.found = found;
    this.modules = modules;
    this.#graph = graph;
    this.#branches = branches;
    this.#session = session;
  }

  /** @internal @throws OnnxError */
  static async open(given: ModelFiles, options: OpenOptions): Promise<LoraModel> {
    const { whole, branches, found } = anatomyOf(given.model);
    const fingerprint = await fingerprintOf({ ...given, model: branches[0]!.model });
    const modules = selectModules(found.modules, options.targets);
    const grafts = branches.map((branch) => ({ ...branch, ...deriveInference(branch.model, modules, branch.types) }));
    const bytes = encodeDerived(joinBranches(whole, grafts), given);
    const served = options.cache ? await digestOf(bytes, fingerprint) : "";
    const graphs = grafts.map(({ model }) => model.graph);
    const sessionOptions = servingOptions(graphs, options.sessionOptions ?? {});
    const session = await createSession(options.ort, bytes, given, sessionOptions);
    const adapted = grafts.map(({ ports }, i): AdaptedBranch => {
      const branch = branches[i]!;
      const { when, model, types } = branch;
      const files = { ...given, model };
      const batch = batchOf(model.graph);
      const typeOf: TypeOf = (value) => types.get(value);
      const name = when === undefined ? served : `${served} ${when}`;
      const parts = { files, modules, typeOf, ports, served: name, batch };
      return { ...branch, ports, batch, trainer: new Trainer({ ...parts, ...trainerOptions(options, files) }) };
    });
    return new LoraModel(options, fingerprint, { found, modules, graph: whole.graph, branches: adapted, session });
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
    this.#notLearnable ??= notLearnable(this.#branches, this.modules);
    return this.#notLearnable;
  }

  /** The inputs that a run takes. */
  get inputs(): readonly ValueInfo[] {
    return this.#graph.inputs;
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
    const { branch, rows } = this.#enter(feeds, adapters);
    const fed = { ...toOrt(ort, feeds), ...toOrt(ort, adapterFeeds(branch.ports, rows)) };
    return runSession(this.#session, fed, outputs && this.#checkOutputs(outputs));
  }

  /**
   * A loss and its exact gradients with respect to the adapters, which do not change.
   * @throws OnnxError as `run`, `out-of-range`, `not-finite`, `out-of-memory`, `unsupported-operator`
   */
  async gradients(request: GradientRequest, { adapter, adapters }: GradientOptions): Promise<Gradients> {
    this.#checkLive();
    const { feeds, loss } = request;
    const { branch, sizes, rows } = this.#enter(feeds, adapters ?? adapter);
    if (rows.every((row) => row === null)) {
      throw new OnnxError("shape-mismatch", "adapter", "is missing", "Pass the adapter whose gradients are wanted");
    }
    return branch.trainer.gradients(request, rows, sizes, () => this.run(feeds, { outputs: loss.outputs }));
  }

  /** Refuses a request that `gradients` would refuse, as far as that can be told without running the model. @throws OnnxError */
  async check({ feeds, loss }: GradientRequest): Promise<void> {
    this.#checkLive();
    this.#checkOutputs(loss.outputs);
    const { branch, sizes } = this.#enter(feeds, null);
    const unknown = new Error("the outputs of the base model");
    const base = () => Promise.reject(unknown);
    const typeOf: TypeOf = (value) => branch.types.get(value);
    await loss.feeds({ feeds, rows: sizes.rows, typeOf, base }).catch((error: unknown) => {
      if (error !== unknown) throw error;
    });
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
    for (const { trainer } of this.#branches) await trainer[Symbol.asyncDispose]();
  }

  /** The branch that feeds lead into, their sizes, and who serves their rows. */
  #enter(feeds: Feeds, adapters: Adapters | undefined) {
    const choice = choiceOf(this.#graph);
    const when = choice === undefined ? undefined : isTrue(feeds[choice]);
    const branch = this.#branches.find((each) => each.when === when)!;
    const sizes = checkFeeds(this.#graph, feeds, branch.batch, branch.model.graph.inputs);
    return { branch, sizes, rows: rowsOf(adapters, sizes, branch.ports, this.fingerprint) };
  }

  #checkLive(): void {
    if (this.#disposed) throw new OnnxError("disposed", "model", "it was disposed of", "Open it again");
  }

  #checkOutputs(outputs: readonly string[]): readonly string[] {
    const known = this.#graph.outputs.map(({ name }) => name);
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

/** A branch with its adapters. */
interface AdaptedBranch extends TypedBranch {
  readonly ports: readonly Port[];
  readonly batch: Dim | undefined;
  readonly trainer: Trainer;
}

interface Parts {
  readonly found: Modules;
  readonly modules: readonly Module[];
  readonly graph: Graph;
  readonly branches: readonly AdaptedBranch[];
  readonly session: OrtSession;
}

/** Whether the tensor of an input that chooses says yes. */
function isTrue(tensor: HostTensor | undefined): boolean {
  return Boolean((tensor?.data as ArrayLike<number | boolean> | undefined)?.[0]);
}

function trainerOptions({ ort, sessionOptions = {}, memoryLimit, cache }: OpenOptions, files: ModelFiles) {
  return { ort, sessionOptions, cache, memoryLimit: () => memoryLimit ?? files.freeMemory() };
}
