import type { MicroLora } from "microlora";
import { OnnxError } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import type { Port } from "../graft/graft.js";
import type { Module } from "../graft/modules.js";
import { isRank } from "../graph/dim.js";
import type { Dim, ValueInfo } from "../graph/ir.js";
import { joinBiases } from "../graph/passes/join-biases.js";
import { simplify } from "../graph/passes/simplify.js";
import type { Loss } from "../loss/loss.js";
import { type AdapterGradients, adapterFeeds, adapterGradients } from "./adapters.js";
import { type Cuts, cutsOf, cutsThatFit } from "./cuts.js";
import { cached, type Derivation, type DerivationCache, keyOf } from "./derivation-cache.js";
import { deriveTraining, type RowMode, refuseCutOff, type TypeOf } from "./derive.js";
import { type Feeds, feedsOf, isRowwise, type Sizes, sliceAxis, sliceFeeds } from "./feeds.js";
import type { ModelFiles } from "./files.js";
import { reasonsOf } from "./inspect.js";
import { MemoryEstimate, spansOf } from "./memory.js";
import type { Ort, OrtSession, OrtSessionOptions } from "./ort.js";
import { gradientOptions, isFoldingNeeded } from "./session-options.js";
import { createSession, encodeDerived, mergeOptions, runSession, toOrt } from "./tensors.js";

interface TrainerOptions {
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

interface Request {
  readonly feeds: Feeds;
  readonly loss: Loss;
  readonly microBatch?: number;
}

export interface Gradients {
  readonly loss: number;
  /** By adapter and module. */
  readonly gradients: ReadonlyMap<MicroLora, AdapterGradients>;
  /** The modules that this loss gives no gradient, and why: the operator and the node that cut them off. */
  readonly missing: ReadonlyMap<string, string>;
}

interface Prepared {
  readonly training: Training;
  readonly session: OrtSession;
  readonly memory: MemoryEstimate;
}

/** A derivation, and the ports that its graph has. */
type Training = Omit<Derivation, "bytes"> & { readonly ports: readonly Port[] };

type Sums = Map<MicroLora, Map<string, { readonly loraA: Float32Array; readonly loraB: Float32Array }>>;

/** Losses and gradients of a model, one session for each kind of loss. */
export class Trainer implements AsyncDisposable {
  readonly #options: TrainerOptions;
  readonly #prepared = new Map<string, Promise<Prepared>>();

  constructor(options: TrainerOptions) {
    this.#options = options;
  }

  /** @param rows one adapter for all rows, or one for each; @param base runs the base model on the same feeds */
  async gradients(
    request: Request,
    rows: readonly (MicroLora | null)[],
    sizes: Sizes,
    base: () => Promise<Readonly<Record<string, HostTensor>>>,
  ): Promise<Gradients> {
    const { typeOf } = this.#options;
    const { feeds, loss, microBatch } = request;
    let known: ReturnType<typeof base> | undefined;
    const lossFeeds = await loss.feeds({ feeds, rows: sizes.rows, typeOf, base: () => (known ??= base()) });
    const prepared = await this.#prepare(loss, rows.length === 1 ? "shared" : "each");
    const { training } = prepared;
    for (const adapter of new Set(rows)) if (adapter !== null) checkLearnable(training, adapter);
    const cuts =
      microBatch === undefined
        ? this.#cut(prepared, request, sizes, lossFeeds)
        : cutsOf(sizes.rows, loss.group, microBatch);
    let total = 0;
    const sums: Sums = new Map();
    for (const [from, to] of cuts) {
      const part = await this.#runPart(prepared, feeds, lossFeeds, rows, sizes.rows, from, to);
      total += part.loss;
      addGradients(sums, part.gradients);
    }
    if (!Number.isFinite(total))
      throw new OnnxError(
        "not-finite",
        "loss",
        `is ${total}`,
        "Check the feeds, and lower the learning rate if it grew",
      );
    checkGradients(sums);
    return { loss: total, gradients: sums, missing: reasonsOf(training.ports, training.missing) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const prepared of this.#prepared.values())
      await prepared.then(({ session }) => session.release()).catch(() => undefined);
    this.#prepared.clear();
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
    const options = mergeOptions(gradientOptions(derivation.folds, sessionOptions), sessionOptions);
    const session = await createSession(ort, derivation.bytes, files, options);
    const ports = this.#options.ports.map((port) => ({ ...port, hasRows: mode === "each" }));
    return { training: { ...derivation, ports }, session, memory: new MemoryEstimate(derivation) };
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

  #cut({ training, memory }: Prepared, { feeds, loss }: Request, sizes: Sizes, lossFeeds: Feeds): Cuts {
    const { files, batch, typeOf, memoryLimit } = this.#options;
    const outputs = loss.outputs.map((output) => typeOf(output)?.shape);
    return cutsThatFit({
      rows: sizes.rows,
      group: loss.group,
      isRowwise: isRowwise(files.model.graph, feeds, batch, sizes.rows, outputs),
      memoryLimit: memoryLimit(),
      usageOf: (rows) => memory.usageAt(symbolsOf(training, lossFeeds, sizes, rows)),
    });
  }

  async #runPart(
    { training, session }: Prepared,
    feeds: Feeds,
    lossFeeds: Feeds,
    rows: readonly (MicroLora | null)[],
    count: number,
    from: number,
    to: number,
  ): Promise<{ readonly loss: number; readonly gradients: ReadonlyMap<MicroLora, AdapterGradients> }> {
    const { ort, files, batch } = this.#options;
    const { graph } = files.model;
    const whole = to - from === count;
    const partRows = rows.length === 1 ? rows : rows.slice(from, to);
    const cut = (tensor: HostTensor): HostTensor =>
      whole || tensor.dims[0] !== count ? tensor : sliceAxis(tensor, 0, from, to);
    const named = Object.entries(lossFeeds).map(
      ([name, value]) => [training.lossInputs.get(name)!, cut(value)] as const,
    );
    const outputs = await runSession(session, {
      ...toOrt(ort, whole ? feedsOf(graph, feeds) : sliceFeeds(graph, feeds, batch, count, [from, to])),
      ...toOrt(ort, Object.fromEntries(named)),
      ...toOrt(ort, adapterFeeds(training.ports, partRows)),
    });
    const gradientOf = (input: string): HostTensor | undefined => outputs[training.gradients.get(input) ?? ""];
    return {
      loss: (outputs[training.loss]!.data as Float32Array)[0]!,
      gradients: adapterGradients(learnablePorts(training), partRows, gradientOf),
    };
  }
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

/** Sizes of the symbols of a training graph, for a run of some rows. */
function symbolsOf(
  { inputs, lossInputs }: Training,
  lossFeeds: Feeds,
  sizes: Sizes,
  rows: number,
): Map<string, number> {
  const symbols = new Map(sizes.symbols);
  const dims = new Map([...lossInputs].map(([name, input]) => [input, lossFeeds[name]!.dims]));
  for (const { name, type } of inputs) {
    for (const [axis, dim] of type?.shape?.entries() ?? []) {
      const known = dims.get(name)?.[axis] ?? (isRank(dim) ? 1 : undefined);
      if (typeof dim === "string" && known !== undefined && !symbols.has(dim)) symbols.set(dim, known);
    }
  }
  for (const [symbol, size] of symbols) if (size === sizes.rows && isBatch(inputs, symbol)) symbols.set(symbol, rows);
  return symbols;
}

function isBatch(inputs: readonly ValueInfo[], symbol: string): boolean {
  return inputs.some(({ type }) => type?.shape?.[0] === symbol);
}

function addGradients(sums: Sums, part: ReadonlyMap<MicroLora, AdapterGradients>): void {
  for (const [adapter, gradients] of part) {
    const known = sums.get(adapter);
    if (known === undefined) sums.set(adapter, new Map(gradients));
    else
      for (const [module, { loraA, loraB }] of gradients) {
        addTo(known.get(module)!.loraA, loraA);
        addTo(known.get(module)!.loraB, loraB);
      }
  }
}

function addTo(sum: Float32Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}

function checkGradients(sums: Sums): void {
  for (const gradients of sums.values()) {
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
