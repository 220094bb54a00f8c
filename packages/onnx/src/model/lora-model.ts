import type { FileFormatName, PeftFolder } from "@microlora/formats";
import { MicroLora } from "microlora";
import { checkObject } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import { type SplitModel, splitBranches } from "../graft/branches.js";
import { addHiddenStates } from "../graft/hidden-states.js";
import type { notLearnable } from "../graft/inspect.js";
import { type Module, type Modules, matchPattern, selectModules } from "../graft/modules.js";
import { deriveInference } from "../graft/served.js";
import type { Graph, ValueInfo } from "../graph/ir.js";
import { choiceOf, joinBranches } from "../graph/passes/branches.js";
import { type Adapters, adapterFeeds, rowsOf } from "../run/adapters.js";
import { completeFeeds } from "../run/complete.js";
import { checkFeeds, type Feeds } from "../run/feeds.js";
import type { ModelFiles } from "../run/files.js";
import { fingerprintOf } from "../run/fingerprint.js";
import type { Ort, OrtSession, OrtTensor } from "../run/ort.js";
import { servingOptions } from "../run/session-options.js";
import { createSession, encodeDerived, runSession, toOrt } from "../run/sessions.js";
import { digestOf } from "../train/derivation-cache.js";
import type { Gradients } from "../train/trainer.js";
import { type AdaptedBranch, adaptBranch } from "./adapted-branch.js";
import type { AdapterSource, LoadAdapterOptions, ReadAdapterFile, SaveAdapterOptions } from "./adapter-files.js";
import { Lifetime } from "./lifetime.js";
import {
  type AdapterOptions,
  checkGradientOptions,
  checkRequest,
  checkRunOptions,
  type GradientOptions,
  type GradientRequest,
  type LearnOptions,
  type OpenOptions,
  type RunOptions,
} from "./options.js";
import { inTurn } from "./turns.js";

/** What one step of learning did. */
export interface LearnResult {
  /** The loss before the step. */
  readonly loss: number;
  /** Length of the whole gradient. */
  readonly gradientNorm: number;
  /** The modules that this loss gives no gradient, and why; they stay as they are. */
  readonly missing: ReadonlyMap<string, string>;
}

/** Closes the sessions of models that were forgotten. */
const FORGOTTEN = new FinalizationRegistry<() => Promise<void>>((free) => void free().catch(() => undefined));

/** A model with adapters on some of its modules. `openModel` makes it; `close` frees it. */
export class LoraModel implements AsyncDisposable {
  /** Every module of the model, and what could not be one. */
  readonly found: Modules;
  /** The modules that the targets chose. */
  readonly modules: readonly Module[];
  /** Tells this base model from others; adapters carry it. */
  readonly fingerprint: string;
  readonly #ort: Ort;
  /** As callers see it: the inputs that a run takes, and its outputs. */
  readonly #graph: Graph;
  readonly #branches: readonly AdaptedBranch[];
  readonly #session: OrtSession;
  readonly #lifetime: Lifetime;
  readonly #inspect: typeof notLearnable;
  readonly #readAdapter: ReadAdapterFile;
  #notLearnable: ReadonlyMap<string, string> | undefined;

  private constructor(ort: Ort, fingerprint: string, parts: Parts) {
    const { session, branches } = parts;
    this.#ort = ort;
    this.fingerprint = fingerprint;
    this.found = parts.found;
    this.modules = parts.modules;
    this.#graph = parts.graph;
    this.#branches = branches;
    this.#session = session;
    this.#inspect = parts.inspect;
    this.#readAdapter = parts.readAdapter;
    const free = async () => {
      await session.release();
      for (const { closeTrainer } of branches) await closeTrainer();
    };
    this.#lifetime = new Lifetime(free);
    FORGOTTEN.register(this, free, this.#lifetime);
  }

  /** @internal @throws OnnxError */
  static async open(
    given: ModelFiles,
    options: OpenOptions,
    readAdapter: ReadAdapterFile = fetchLater,
  ): Promise<LoraModel> {
    // The code that derives gradients is a separate chunk: it loads while the session is created.
    const inspecting = import("../graft/inspect.js");
    const split = splitBranches(given.model);
    const fingerprint = await fingerprintOf({ ...given, model: split.branches[0]!.model });
    const { whole, branches, found } = withHiddenStates(split, options.hiddenStates ?? []);
    const modules = selectModules(found.modules, options.targets);
    const grafts = branches.map((branch) => ({ ...branch, ...deriveInference(branch.model, modules, branch.types) }));
    const bytes = encodeDerived(joinBranches(whole, grafts), given);
    const served = options.cache ? await digestOf(bytes, fingerprint) : "";
    const graphs = grafts.map(({ model }) => model.graph);
    const sessionOptions = servingOptions(graphs, options.sessionOptions ?? {});
    const session = await createSession(options.ort, bytes, given, sessionOptions);
    const adapted = grafts.map(({ ports }, i) => adaptBranch(branches[i]!, ports, modules, given, options, served));
    const { notLearnable: inspect } = await inspecting;
    const parts = { found, modules, graph: whole.graph, branches: adapted, session, inspect, readAdapter };
    return new LoraModel(options.ort, fingerprint, parts);
  }

  /** The onnxruntime that it was opened with. */
  get ort(): Ort {
    return this.#ort;
  }

  /** The inputs that a run takes. */
  get inputs(): readonly ValueInfo[] {
    return this.#graph.inputs;
  }

  /** The outputs that a run gives. */
  get outputs(): readonly ValueInfo[] {
    return this.#graph.outputs;
  }

  /**
   * The chosen modules that get no gradient from any output, and why: the operator and the node that cut them off. The first look
   * takes about as long as a derivation.
   */
  get notLearnable(): ReadonlyMap<string, string> {
    this.#notLearnable ??= this.#inspect(this.#branches, this.modules);
    return this.#notLearnable;
  }

  /** Completes feeds; see `completeFeeds`. */
  complete(feeds: Feeds): Record<string, HostTensor> {
    return completeFeeds(this.inputs, feeds);
  }

  /**
   * Makes a fresh adapter for the targets of this model, which changes nothing yet. Keys of `rankPattern` and `alphaPattern` name
   * modules as targets do.
   * @throws MicroLoraError `invalid-config`, `memory-full`; OnnxError `invalid-argument`, `unknown-module`
   */
  async createAdapter(options: AdapterOptions = {}): Promise<MicroLora> {
    checkObject(options, "options", "Pass an object such as { rank: 2 }");
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
   * Loads an adapter that another program made: the two files of a PEFT folder, one file's bytes (safetensors, GGUF, .onnx_adapter), or the path
   * (Node) or address of either. Modules are found by their paths, as PEFT has them, and packed projections fit split ones and the
   * reverse.
   * @throws FormatError as its format refuses; OnnxError `invalid-argument`, `unreadable`; MicroLoraError `memory-full`
   */
  async loadAdapter(source: AdapterSource, options: LoadAdapterOptions = {}): Promise<MicroLora> {
    const { loadAdapter } = await import("./adapter-files.js");
    return loadAdapter(this, source, options, this.#readAdapter);
  }

  /**
   * Writes an adapter for another program: `peft` gives the two files of a folder, others one file's bytes. Modules have the names that they
   * were loaded with.
   * @throws OnnxError `invalid-argument`; FormatError where the format cannot hold it
   */
  async saveAdapter(adapter: MicroLora, format: "peft", options?: SaveAdapterOptions): Promise<PeftFolder>;
  /** As above, for a format that is one file. */
  async saveAdapter(adapter: MicroLora, format: FileFormatName, options?: SaveAdapterOptions): Promise<Uint8Array>;
  async saveAdapter(adapter: MicroLora, format: "peft" | FileFormatName, options: SaveAdapterOptions = {}) {
    const { saveAdapter } = await import("./adapter-files.js");
    return saveAdapter(this, adapter, format, options);
  }

  /**
   * Runs the model. Adapters are read as they are now: a swap costs a copy of their weights.
   * @throws OnnxError `invalid-argument`, `unknown-value`, `unsupported-type`, `shape-mismatch`, `wrong-base`, `unknown-module`,
   * `disposed`, `out-of-range`, `onnxruntime`
   */
  async run(feeds: Feeds, options: RunOptions = {}): Promise<Readonly<Record<string, OrtTensor>>> {
    return this.#lifetime.use(() => {
      checkRunOptions(options);
      const { adapters, outputs } = options;
      const { branch, rows } = this.#enter(feeds, adapters);
      const fed = { ...toOrt(this.#ort, feeds), ...toOrt(this.#ort, adapterFeeds(branch.ports, rows)) };
      return runSession(this.#session, fed, outputs && this.#checkOutputs(outputs));
    });
  }

  /**
   * Computes a loss and its exact gradients with respect to the adapters, which do not change.
   * @throws OnnxError as `run`, `out-of-range`, `not-finite`, `out-of-memory`, `unsupported-operator`
   */
  async gradients(request: GradientRequest, options: GradientOptions): Promise<Gradients> {
    checkGradientOptions(options, ["examples"]);
    return this.#gradients(request, options);
  }

  #gradients(request: GradientRequest, { adapter, adapters, examples }: GradientOptions): Promise<Gradients> {
    return this.#lifetime.use(async () => {
      checkRequest(request);
      const { feeds, loss } = request;
      const { branch, sizes, rows } = this.#enter(feeds, adapters ?? adapter);
      if (rows.every((row) => row === null)) {
        throw new OnnxError("shape-mismatch", "adapter", "is missing", "Pass the adapter whose gradients are wanted");
      }
      this.#checkOutputs(loss.outputs);
      const base = async () => onHost(await this.run(feeds, { outputs: loss.outputs }));
      const checkLive = () => this.#lifetime.checkLive();
      const trainer = await branch.trainer();
      return trainer.gradients({ ...request, examples: examples === true }, { rows, sizes, base, checkLive });
    });
  }

  /** Refuses a request that `gradients` would refuse, as far as that can be told without running the model. @throws OnnxError */
  async check(request: GradientRequest): Promise<void> {
    await this.#lifetime.use(async () => {
      checkRequest(request);
      const { feeds, loss } = request;
      this.#checkOutputs(loss.outputs);
      const { branch, sizes } = this.#enter(feeds, null);
      const { lossRequest } = await import("../train/trainer.js");
      const unknown = new Error("the outputs of the base model");
      const base = () => Promise.reject(unknown);
      await loss.feeds(lossRequest(feeds, sizes, branch.typeOf, base)).catch((error: unknown) => {
        if (error !== unknown) throw error;
      });
    });
  }

  /**
   * Makes one step of learning: the loss, its gradients, and the adapters' own update. Calls at once on one adapter learn one after the
   * other.
   * @throws as `gradients`; nothing has changed then
   */
  async learn(request: GradientRequest, options: LearnOptions): Promise<LearnResult> {
    checkGradientOptions(options, ["learningRate"]);
    const { adapter, adapters, learningRate } = options;
    const learners = [adapter, ...(adapters ?? [])].filter((each): each is MicroLora => isAdapter(each));
    return inTurn(learners, async () => {
      const examples = learners.some(({ config, enabled }) => enabled && config.learning.ewcLambda !== 0);
      const { loss, gradients, missing } = await this.#gradients(request, { ...options, examples });
      const { learnFrom } = await import("../train/learn.js");
      return { loss, ...learnFrom(gradients, learningRate), missing };
    });
  }

  /** Frees the sessions, once the calls under way are done; calls from now on are refused. Adapters live on. */
  close(): Promise<void> {
    FORGOTTEN.unregister(this.#lifetime);
    return this.#lifetime.close();
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The branch that feeds lead into, their sizes, and who serves their rows. */
  #enter(feeds: Feeds, adapters: Adapters | undefined) {
    checkObject(feeds, "feeds", `Pass a tensor for each of ${this.inputs.map(({ name }) => name).join(", ")}`);
    const choice = choiceOf(this.#graph);
    const when = choice === undefined ? undefined : isTrue(feeds[choice]);
    const branch = this.#branches.find((each) => each.when === when)!;
    const sizes = checkFeeds(this.#graph, feeds, branch.batch, branch.model.graph.inputs);
    return { branch, sizes, rows: rowsOf(adapters, sizes, branch.ports, this.fingerprint) };
  }

  #checkOutputs(outputs: readonly string[]): readonly string[] {
    const known = this.#graph.outputs.map(({ name }) => name);
    const unknown = outputs.find((name) => !known.includes(name));
    if (unknown === undefined) return outputs;
    throw new OnnxError(
      "unknown-value",
      String(unknown),
      "is no output of this model",
      `Name one of ${known.join(", ")}`,
    );
  }
}

interface Parts {
  readonly found: Modules;
  readonly modules: readonly Module[];
  readonly graph: Graph;
  readonly branches: readonly AdaptedBranch[];
  readonly session: OrtSession;
  readonly inspect: typeof notLearnable;
  readonly readAdapter: ReadAdapterFile;
}

const fetchLater: ReadAdapterFile = async (source, options) => {
  const { fetchAdapter } = await import("./adapter-files.js");
  return fetchAdapter(source, options);
};

function isAdapter(value: unknown): boolean {
  return typeof (value as Partial<MicroLora> | null | undefined)?.getAdapter === "function";
}

/** Outputs whose elements are in the caller's memory: those on a device are fetched from it. */
async function onHost(outputs: Readonly<Record<string, OrtTensor>>): Promise<Record<string, HostTensor>> {
  const fetched = Object.entries(outputs).map(async ([name, tensor]) => {
    const { location, getData } = tensor as { location?: string; getData?(): Promise<unknown> };
    if (location === undefined || location === "cpu" || getData === undefined) return [name, tensor] as const;
    const data = await getData.call(tensor);
    return [name, { type: tensor.type, dims: tensor.dims, data }] as const;
  });
  return Object.fromEntries(await Promise.all(fetched));
}

/** Whether the tensor of an input that chooses says yes. */
function isTrue(tensor: HostTensor | undefined): boolean {
  return Boolean((tensor?.data as ArrayLike<number | boolean> | undefined)?.[0]);
}

/** The model with the hidden states of these layers as further outputs. @throws OnnxError `unsupported-operator` for a merged decoder */
function withHiddenStates(split: SplitModel, layers: readonly number[]): SplitModel {
  if (layers.length === 0) return split;
  const { whole, branches, found } = split;
  const [only, ...others] = branches;
  if (others.length === 0) return splitBranches(addHiddenStates(whole, found, only!.types, layers));
  const problem = "a merged decoder gives none out";
  throw new OnnxError("unsupported-operator", "hiddenStates", problem, "Open decoder_with_past_model.onnx");
}
