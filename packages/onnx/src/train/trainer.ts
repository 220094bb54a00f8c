import type { MicroLora } from "microlora";
import { OnnxError } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import type { Port } from "../graft/graft.js";
import { reasonsOf } from "../graft/inspect.js";
import type { Module } from "../graft/modules.js";
import type { TypeOf } from "../graft/served.js";
import type { Dim } from "../graph/ir.js";
import { joinBiases } from "../graph/passes/join-biases.js";
import { simplify } from "../graph/passes/simplify.js";
import { sizeAt } from "../graph/sizes.js";
import type { Loss, LossRequest } from "../loss/loss.js";
import { type AdapterGradients, adapterFeeds, adapterGradients, keepsRows } from "../run/adapters.js";
import { type Feeds, feedsOf, haveRowsInFront, isRowwise, type Sizes, sliceAxis, sliceFeeds } from "../run/feeds.js";
import type { ModelFiles } from "../run/files.js";
import type { Ort, OrtSessionOptions } from "../run/ort.js";
import { gradientOptions, isFoldingNeeded } from "../run/session-options.js";
import { encodeDerived, mergeOptions, toOrt } from "../run/sessions.js";
import { type Cuts, cutsOf, cutsThatFit, refuseMicroBatch } from "./cuts.js";
import { cached, type Derivation, type DerivationCache, keyOf } from "./derivation-cache.js";
import { deriveTraining, type RowMode, refuseCutOff } from "./derive.js";
import { GradientSums } from "./examples.js";
import { MemoryEstimate, spansOf } from "./memory.js";
import { TrainingSession } from "./session.js";
import { symbolsOf } from "./symbols.js";

export interface TrainerOptions {
  readonly files: ModelFiles;
  readonly modules: readonly Module[];
  readonly typeOf: TypeOf;
  /** Of the served graph. */
  readonly ports: readonly Port[];
  /** Where derivations are kept, under a key made from what tells the served graph from others. */
  readonly cache: DerivationCache | undefined;
  readonly served: string;
  readonly batch: Dim | undefined;
  readonly ort: Ort;
  readonly sessionOptions: OrtSessionOptions;
  /** Bytes that the activations of a run may take. */
  readonly memoryLimit: () => number;
}

export interface TrainingRequest {
  readonly feeds: Feeds;
  readonly loss: Loss;
  readonly microBatch?: number;
  /** Whether squares of single examples' gradients are wanted, which Fisher information is made of. */
  readonly examples?: boolean;
}

/** What a request is computed with. */
export interface TrainingContext {
  /** One adapter for all rows, or one for each. */
  readonly rows: readonly (MicroLora | null)[];
  readonly sizes: Sizes;
  /** Runs the base model on the same feeds. */
  readonly base: () => Promise<Readonly<Record<string, HostTensor>>>;
  /** Throws if the model was closed. */
  readonly checkLive: () => void;
}

/** A loss with its gradients. */
export interface Gradients {
  /** The loss at the weights of now. */
  readonly loss: number;
  /** By adapter and module. */
  readonly gradients: ReadonlyMap<MicroLora, AdapterGradients>;
  /** The modules that this loss gives no gradient, and why: the operator and the node that cut them off. */
  readonly missing: ReadonlyMap<string, string>;
}

interface Prepared {
  readonly training: Training;
  readonly session: TrainingSession;
  readonly memory: MemoryEstimate;
}

/** A derivation, and the ports that its graph has. */
type Training = Omit<Derivation, "bytes"> & { readonly ports: readonly Port[] };

/** How a batch is computed: whose adapter each row has, in which parts, and whether each group of rows is an example. */
interface Plan {
  readonly mode: RowMode;
  readonly rows: readonly (MicroLora | null)[];
  readonly microBatch: number | undefined;
  /** Rows of one example; undefined if squares are not wanted. */
  readonly example: number | undefined;
}

/** Losses and gradients of a model, one session for each kind of loss. */
export class Trainer implements AsyncDisposable {
  readonly #options: TrainerOptions;
  readonly #prepared = new Map<string, Promise<Prepared>>();

  constructor(options: TrainerOptions) {
    this.#options = options;
  }

  /** @throws OnnxError */
  async gradients(request: TrainingRequest, context: TrainingContext): Promise<Gradients> {
    const { feeds, loss } = request;
    const { sizes, base, checkLive } = context;
    const plan = this.#plan(request, context);
    const weights = adapterFeeds(this.#portsFor(plan.mode), plan.rows);
    const asked = lossRequest(feeds, sizes, this.#options.typeOf, base);
    const lossFeeds = await loss.feeds(asked);
    const prepared = await this.#prepare(loss, plan.mode);
    const { training } = prepared;
    for (const adapter of new Set(plan.rows)) if (adapter !== null) checkLearnable(training, adapter);
    const cuts = this.#cut(prepared, plan, loss, feeds, sizes, lossFeeds);
    const shares = plan.example === undefined ? undefined : loss.shares?.(asked);
    let total = 0;
    const sums = new GradientSums();
    for (const cut of cuts) {
      checkLive();
      const part = await this.#runPart(prepared, feeds, lossFeeds, weights, plan, sizes.rows, cut);
      total += part.loss;
      addPart(sums, part.gradientsOf, plan.example, shares, cut);
    }
    checkLoss(total);
    const gradients = sums.finish();
    checkGradients(gradients);
    return { loss: total, gradients, missing: reasonsOf(training.ports, training.missing) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const prepared of this.#prepared.values())
      await prepared.then(({ session }) => session.release()).catch(() => undefined);
    this.#prepared.clear();
  }

  /**
   * Squares of single examples need their gradients apart. Where every module keeps rows apart, each row gets A and B of its own in
   * one run; elsewhere each example is a run, if rows can be computed apart; else the batch counts as one example.
   */
  #plan({ feeds, loss, microBatch, examples = false }: TrainingRequest, { rows, sizes }: TrainingContext): Plan {
    const { ports } = this.#options;
    const shared: Plan = {
      mode: rows.length === 1 ? "shared" : "each",
      rows,
      microBatch,
      example: examples ? sizes.rows : undefined,
    };
    const { group } = loss;
    if (!examples || group === undefined || sizes.rows <= group) return shared;
    if (rows.length > 1) return { ...shared, example: group };
    const [adapter = null] = rows;
    if (ports.every((port) => keepsRows(port, sizes))) {
      const each = Array.from({ length: sizes.rows }, () => adapter);
      return { mode: "each", rows: each, microBatch, example: group };
    }
    const isApart = this.#isRowwise(loss, feeds, sizes);
    return isApart ? { ...shared, microBatch: group, example: group } : shared;
  }

  #portsFor(mode: RowMode): readonly Port[] {
    return this.#options.ports.map((port) => ({ ...port, hasRows: mode === "each" }));
  }

  #prepare(loss: Loss, mode: RowMode): Promise<Prepared> {
    const key = `${mode} ${loss.key}`;
    const known = this.#prepared.get(key);
    if (known !== undefined) return known;
    const made = this.#make(loss, mode);
    this.#prepared.set(key, made);
    made.catch(() => this.#prepared.delete(key));
    return made;
  }

  async #make(loss: Loss, mode: RowMode): Promise<Prepared> {
    const { files, ort, sessionOptions, cache, served } = this.#options;
    const derivation = await cached(
      cache,
      () => keyOf(served, loss, mode),
      () => this.#derive(loss, mode),
    );
    const { preferredOutputLocation: _, ...given } = sessionOptions;
    const options = mergeOptions(gradientOptions(derivation.folds, given), given);
    const session = await TrainingSession.create(ort, derivation.bytes, files, options);
    const training = { ...derivation, ports: this.#portsFor(mode) };
    return { training, session, memory: new MemoryEstimate(derivation) };
  }

  #derive(loss: Loss, mode: RowMode): Derivation {
    const { files, modules, typeOf } = this.#options;
    const training = deriveTraining(files.model, modules, loss, mode, typeOf);
    const model = simplify(joinBiases(training.model));
    const { graph } = model;
    return {
      bytes: encodeDerived(model, files),
      loss: training.loss,
      lossInputs: training.lossInputs,
      gradients: training.gradients,
      missing: training.missing,
      inputs: graph.inputs,
      steps: graph.nodes.length,
      spans: spansOf(graph),
      folds: isFoldingNeeded(graph),
    };
  }

  #cut(
    { training, memory }: Prepared,
    { microBatch, example }: Plan,
    loss: Loss,
    feeds: Feeds,
    sizes: Sizes,
    lossFeeds: Feeds,
  ): Cuts {
    const { files, memoryLimit } = this.#options;
    if (microBatch !== undefined) {
      const isWhole = microBatch >= sizes.rows;
      if (!isWhole && !haveRowsInFront(files.model.graph, this.#shapesOf(loss))) refuseMicroBatch(microBatch);
      return cutsOf(sizes.rows, loss.group, microBatch);
    }
    return cutsThatFit({
      rows: sizes.rows,
      group: example === sizes.rows ? undefined : loss.group,
      isRowwise: this.#isRowwise(loss, feeds, sizes),
      memoryLimit: memoryLimit(),
      usageOf: (rows) => memory.usageAt(symbolsOf(training, lossFeeds, sizes, rows)),
    });
  }

  #isRowwise(loss: Loss, feeds: Feeds, sizes: Sizes): boolean {
    const { files, batch } = this.#options;
    return isRowwise(files.model.graph, feeds, batch, sizes.rows, this.#shapesOf(loss));
  }

  #shapesOf({ outputs }: Loss) {
    return outputs.map((output) => this.#options.typeOf(output)?.shape);
  }

  async #runPart(
    { training, session }: Prepared,
    feeds: Feeds,
    lossFeeds: Feeds,
    weights: Feeds,
    { mode, rows }: Plan,
    count: number,
    [from, to]: readonly [number, number],
  ): Promise<Part> {
    const { ort, files, batch } = this.#options;
    const { graph } = files.model;
    const whole = to - from === count;
    const isEach = mode === "each";
    const cut = (tensor: HostTensor): HostTensor =>
      whole || tensor.dims[0] !== count ? tensor : sliceAxis(tensor, 0, from, to);
    const named = Object.entries(lossFeeds).map(
      ([name, value]) => [training.lossInputs.get(name)!, cut(value)] as const,
    );
    const outputs = await session.run({
      ...toOrt(ort, whole ? feedsOf(graph, feeds) : sliceFeeds(graph, feeds, batch, count, [from, to])),
      ...toOrt(ort, Object.fromEntries(named)),
      ...toOrt(ort, isEach && !whole ? sliceRows(weights, from, to) : weights),
    });
    const gradientOf = (input: string): HostTensor | undefined => outputs[training.gradients.get(input) ?? ""];
    const ports = learnablePorts(training);
    const partRows = isEach ? rows.slice(from, to) : rows;
    return {
      loss: (outputs[training.loss]!.data as Float32Array)[0]!,
      gradientsOf: (first, last) =>
        adapterGradients(ports, partRows, gradientOf, isEach ? [first - from, last - from] : undefined),
    };
  }
}

interface Part {
  readonly loss: number;
  /** The gradients of some of its rows. */
  gradientsOf(first: number, last: number): ReturnType<typeof adapterGradients>;
}

/** What a loss sees of a request. */
export function lossRequest(feeds: Feeds, sizes: Sizes, typeOf: TypeOf, base: TrainingContext["base"]): LossRequest {
  let known: ReturnType<typeof base> | undefined;
  return {
    feeds,
    rows: sizes.rows,
    typeOf,
    sizesOf: (output) => typeOf(output)?.shape?.map((dim) => sizeAt(dim, sizes.symbols)),
    base: () => (known ??= base()),
  };
}

/** Adds a part of the batch, example by example where that is asked for. */
function addPart(
  sums: GradientSums,
  gradientsOf: Part["gradientsOf"],
  example: number | undefined,
  shares: readonly number[] | undefined,
  [from, to]: readonly [number, number],
): void {
  if (example === undefined) {
    sums.add(gradientsOf(from, to));
    return;
  }
  for (let first = from; first < to; first += example) {
    sums.addExample(gradientsOf(first, Math.min(to, first + example)), shares?.[first / example] ?? 1);
  }
}

function sliceRows(weights: Feeds, from: number, to: number): Feeds {
  return Object.fromEntries(Object.entries(weights).map(([name, each]) => [name, sliceAxis(each, 0, from, to)]));
}

/** The ports that no operator cuts off from the loss. */
function learnablePorts({ ports, missing }: Training): readonly Port[] {
  return ports.filter(({ loraB }) => missing.get(loraB)?.reason !== "cut-off");
}

/** @throws OnnxError `unsupported-operator` for an adapter of which nothing can learn */
function checkLearnable(training: Training, adapter: MicroLora): void {
  const hasPart = ({ modules }: Port) => modules.some(({ name }) => adapter.getAdapter(name) !== undefined);
  const ports = training.ports.filter(hasPart);
  const learnable = new Set(learnablePorts(training));
  if (ports.length === 0 || ports.some((port) => learnable.has(port))) return;
  const names = ports.flatMap(({ modules }) => modules.map(({ name }) => name));
  refuseCutOff(training.missing, names);
}

function checkLoss(loss: number): void {
  if (Number.isFinite(loss)) return;
  throw new OnnxError("not-finite", "loss", `is ${loss}`, "Check the feeds, and lower the learning rate if it grew");
}

function checkGradients(all: ReadonlyMap<MicroLora, AdapterGradients>): void {
  for (const gradients of all.values()) {
    for (const [module, { loraA, loraB }] of gradients) {
      if (loraA.every(Number.isFinite) && loraB.every(Number.isFinite)) continue;
      throw new OnnxError(
        "not-finite",
        module,
        "the gradient is not finite",
        "Check the feeds, and that every row has a token to attend to",
      );
    }
  }
}
