import { type AdapterState, type LearnerConfig, type LearnResult, type LoadOptions, MicroLora } from "microlora";
import {
  type Ask,
  allowGradients,
  boundaryOf,
  type Capacity,
  capacityOf,
  decodeSafeguarded,
  driveAsync,
  encodeSafeguarded,
  learnFromGradients,
  resolveLearner,
  type SafeguardsConfig,
  UpdateCycle,
} from "microlora/parts";
import { checkObject, refuseArgument } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import { LOSSES, type LossMakers } from "../loss/makers.js";
import type { LoraModel } from "../model/lora-model.js";
import { checkRequest, type GradientRequest } from "../model/options.js";
import { inTurn } from "../model/turns.js";
import { checkKept, REQUESTS, requestsOf } from "./kept-requests.js";

/** The settings of `Learner` that do not concern the loss. */
export type ModelLearnerConfig = Pick<LearnerConfig, (typeof KEYS)[number]>;

const KEYS = ["replay", "boundary", "guard", "maxDelta", "undo", "seed"] as const;

/** How a saved `ModelLearner` is loaded. */
export interface ModelLearnerLoadOptions extends Omit<LoadOptions, "baseModel"> {
  /** Makers of losses of your own, by the names in their `source`. */
  readonly losses?: LossMakers;
}

/** What a `ModelLearner` has kept and decided so far. */
export interface ModelLearnerReport {
  /** Updates of the weights, replayed ones included. */
  readonly updates: number;
  /** Tasks that ended by the boundary detector. */
  readonly boundaries: number;
  /** Updates after which a delta had to be shrunk to `maxDelta`. */
  readonly limited: number;
  /** Updates that `undo` can take back. */
  readonly undoable: number;
  /** Requests kept for replay, and their bytes; null without replay. */
  readonly replay: { readonly count: number; readonly bytes: number } | null;
  /** Requests held back, and how often updates were kept and taken back; null without a guard. */
  readonly guard: { readonly held: number; readonly promoted: number; readonly rejected: number } | null;
  /** How much of each module's adapter is in use. */
  readonly capacity: Readonly<Record<string, Capacity>>;
}

/**
 * Learning of one adapter through a whole model, with what a `Learner` has around an update: a guard that holds recent requests
 * back, replay, boundaries, a limit of the delta, undo. Whatever is asked of it is done in turn.
 * `toBytes` saves all of it with the adapter, except the steps that `undo` remembers.
 */
export class ModelLearner {
  /** The model that it learns through. */
  readonly model: LoraModel;
  /** The adapter that learns. */
  readonly adapter: MicroLora;
  readonly #config: SafeguardsConfig;
  readonly #cycle: UpdateCycle<GradientRequest>;
  /** The gradients of the request measured last. */
  #measured: Awaited<ReturnType<LoraModel["gradients"]>>["gradients"] = new Map();
  /** Made when the guard first compares, and kept. */
  #compared: MicroLora | null = null;
  #updates = 0;

  /** @throws MicroLoraError `invalid-config`, `out-of-range`; OnnxError `unsupported-method` for a setting that is the loss's to say */
  constructor(model: LoraModel, adapter: MicroLora, config: ModelLearnerConfig = {}) {
    if (typeof model?.gradients !== "function") refuseArgument("model", model, "Pass what openModel gives");
    if (typeof adapter?.getAdapter !== "function") refuseArgument("adapter", adapter, "Pass a MicroLora");
    checkObject(config, "config", "Pass an object such as { guard: {} }");
    const other = Object.keys(config).find((key) => !(KEYS as readonly string[]).includes(key));
    if (other !== undefined) {
      const remedy = "Say it in the loss of a request; late feedback is a request that is learned from later";
      throw new OnnxError("unsupported-method", other, "is no setting of a learner of whole models", remedy);
    }
    this.model = model;
    this.adapter = adapter;
    this.#config = resolveLearner(config);
    this.#cycle = new UpdateCycle(adapter, this.#config, config.boundary ?? null, REQUESTS);
  }

  /**
   * A learner, with an adapter of its own, in the state that `toBytes` wrote: it goes on to the bit as the other would have.
   * @throws MicroLoraError as `MicroLora.fromBytes`; OnnxError for a kept request that is none of this model, `unsupported-method` for
   * a loss whose maker is unknown
   */
  static async fromBytes(
    model: LoraModel,
    bytes: Uint8Array,
    { losses, ...options }: ModelLearnerLoadOptions = {},
  ): Promise<ModelLearner> {
    const { methods } = options;
    const state = decodeSafeguarded(KIND, bytes, requestsOf({ ...LOSSES, ...losses }), methods);
    for (const request of [...(state.replay?.examples ?? []), ...(state.guard?.held ?? [])]) {
      await checkKept(request, model);
    }
    const boundary = boundaryOf(state.config.boundary, methods ?? []);
    const adapter = await MicroLora.fromState(state.lora, { baseModel: model.fingerprint, ...options });
    try {
      const learner = new ModelLearner(model, adapter, { ...settingsOf(state.config), boundary });
      learner.#cycle.restore(state);
      learner.#updates = state.updates;
      return learner;
    } catch (error) {
      adapter[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Learns from one request, or holds it back. Its loss, which may be kept, must not change.
   * @throws as `LoraModel.learn`; nothing has changed then, unless it is the guard's own comparison that fails: what it would have
   * compared stays, and is compared again with the updates to come
   */
  learn(request: GradientRequest): Promise<LearnResult> {
    return this.#inTurn(async () => {
      checkRequest(request);
      if (!this.adapter.enabled) return { ...NOTHING, reason: "disabled" };
      return driveAsync(this.#cycle.learn(request), this.#answer);
    });
  }

  /** Ends a task by hand: what is known now is held on to from here on. @throws MicroLoraError `update-overflow`, `memory-full` */
  consolidate(): Promise<void> {
    return this.#inTurn(async () => this.#cycle.consolidate());
  }

  /** The adapter as it is, for `rollback`. */
  snapshot(): readonly AdapterState[] {
    return this.#cycle.weights();
  }

  /** Back to a snapshot: weights, optimiser and EWC. @throws MicroLoraError `corrupt-checkpoint` */
  rollback(snapshot: readonly AdapterState[]): Promise<void> {
    return this.#inTurn(async () => this.#cycle.rollback(snapshot));
  }

  /** Takes the last n updates back, as far as `config.undo` remembers them; returns how many. */
  undo(n = 1): Promise<number> {
    return this.#inTurn(async () => this.#cycle.undo(n));
  }

  /**
   * Everything that a restart must bring back, as a file, once what was asked for before is done: the adapter, and what is held back,
   * replayed and counted.
   * @throws OnnxError `unsupported-method` where a kept request has a loss that does not say what it was made of
   */
  toBytes(): Promise<Uint8Array> {
    return this.#inTurn(async () => {
      const state = { ...this.#cycle.exportState(), config: this.#config, updates: this.#updates };
      return encodeSafeguarded(KIND, { ...state, lora: this.adapter.exportState() }, requestsOf(LOSSES));
    });
  }

  /** What was kept and decided so far. */
  report(): ModelLearnerReport {
    const capacities = this.adapter.config.modules.map(({ module }) => [
      module,
      capacityOf(this.adapter.getAdapter(module)!),
    ]);
    return {
      ...this.#cycle.report(),
      updates: this.#updates,
      capacity: Object.fromEntries(capacities),
    };
  }

  /** After all that this adapter was asked to learn before, by whomever. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    return inTurn([this.adapter], action);
  }

  readonly #answer = async (ask: Ask<GradientRequest>): Promise<unknown> => {
    if (ask.do === "measure") return this.#measure(ask.example);
    if (ask.do === "step") return this.#step();
    if (ask.weights === null) return this.#lossesOf(ask.examples, this.adapter);
    const accepted = await this.#accepted();
    for (const { module, loraA, loraB } of ask.weights) {
      const copy = accepted.getAdapter(module)!;
      copy.loraA.set(loraA);
      copy.loraB.set(loraB);
    }
    return this.#lossesOf(ask.examples, accepted);
  };

  async #measure(request: GradientRequest) {
    const examples = this.adapter.config.learning.ewcLambda !== 0;
    const { loss, gradients } = await this.model.gradients(request, { adapter: this.adapter, examples });
    const { gradientNorm } = allowGradients(gradients);
    if (this.#cycle.guard?.isDue === true) await this.#accepted();
    this.#measured = gradients;
    return { loss, gradientNorm };
  }

  #step(): void {
    learnFromGradients(this.#measured);
    this.#measured = new Map();
    this.#updates++;
  }

  #gradients(request: GradientRequest, adapter: MicroLora) {
    return this.model.gradients(request, { adapter });
  }

  async #lossesOf(requests: readonly GradientRequest[], adapter: MicroLora): Promise<readonly number[]> {
    const losses: number[] = [];
    for (const request of requests) losses.push(await this.#lossOf(request, adapter));
    return losses;
  }

  /** A loss that is not finite is Infinity, so that a guard can go on comparing. */
  async #lossOf(request: GradientRequest, adapter: MicroLora): Promise<number> {
    try {
      return (await this.#gradients(request, adapter)).loss;
    } catch (error) {
      if (error instanceof OnnxError && error.code === "not-finite") return Number.POSITIVE_INFINITY;
      throw error;
    }
  }

  /**
   * The adapter that has the weights a guard accepted while they are compared, since the one that serves is not touched. It will not learn.
   * @throws MicroLoraError `memory-full`
   */
  async #accepted(): Promise<MicroLora> {
    this.#compared ??= await copyOf(this.adapter);
    return this.#compared;
  }
}

/** A copy that will not learn. */
function copyOf(adapter: MicroLora): Promise<MicroLora> {
  const { runtime } = adapter;
  const state = adapter.exportState();
  const learning = { ...state.config.learning, ...PLAIN };
  const adapters = state.adapters.map(({ module, loraA, loraB }) => ({ module, loraA, loraB, ...UNLEARNED }));
  return MicroLora.fromState({ ...state, enabled: true, config: { ...state.config, learning }, adapters }, { runtime });
}

const NOTHING: LearnResult = {
  applied: false,
  reason: null,
  loss: null,
  gradientNorm: 0,
  boundary: false,
  rolledBack: false,
};

/** Kind of its files. */
const KIND = "model-learner";

/** The settings that it takes. */
function settingsOf({ replay, guard, maxDelta, undo, seed }: SafeguardsConfig) {
  return { replay, guard, maxDelta, undo, seed };
}

const UNLEARNED = { step: 0, pendingUpdates: 0, updates: 0 } as const;
const BUILT_IN = (name: string) => ({ name, settings: {} });
const PLAIN = { optimizer: BUILT_IN("sgd"), ewc: BUILT_IN("online"), schedule: BUILT_IN("constant") } as const;
