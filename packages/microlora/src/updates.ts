import type { AdapterState } from "./adapter/lora-adapter.js";
import type { Method } from "./adapter/methods.js";
import { MicroLoraError } from "./base/errors.js";
import { History } from "./history.js";
import type { Boundary } from "./learn/boundaries.js";
import { DeltaLimit } from "./learn/capacity.js";
import { Evaluation } from "./learn/evaluation.js";
import { EXAMPLES, type Example, type KeptRequest } from "./learn/example.js";
import { advantageOf, type Baseline, NO_BASELINE, reinforceGradient, withScore } from "./learn/exploration.js";
import { Guard, type GuardState } from "./learn/guard.js";
import type { ResolvedLearner } from "./learn/learner-config.js";
import { Replay, type ReplayState } from "./learn/replay.js";
import type { Signal } from "./learn/signal.js";
import type { MicroLora } from "./micro-lora.js";

/** Norm of a caller's gradient, with respect to the parameters, from which on a guard clips it. */
const GUARDED_NORM = 1;

/** What became of one feedback; one object, written anew by each call. */
export interface LearnerResult {
  /** Whether the weights learned from it now. */
  applied: boolean;
  /** Why they did not: it is held back to check with and will be learned from later, or there is no score to compare it with. */
  reason: "disabled" | "held-back" | "no-baseline" | null;
  /** Loss before learning, in nats; null where only a gradient is known. */
  loss: number | null;
  /** Norm of the gradient with respect to the parameters. */
  gradientNorm: number;
  /** A new task has begun with it, and what was learned before is held on to. */
  boundary: boolean;
  /** The guard took the last updates back. */
  rolledBack: boolean;
}

/** What updates have led to, beside the weights. */
export interface UpdatesState {
  readonly boundaryState: readonly number[];
  readonly boundaries: number;
  readonly limited: number;
  readonly baseline: Baseline;
  readonly reference: Baseline;
  readonly replay: ReplayState | null;
  readonly guard: GuardState | null;
}

/** How a `Learner` updates the weights: from an example to a step, with replay, limits, guard and boundaries around it. */
export class Updates {
  readonly result: LearnerResult = {
    applied: false,
    reason: null,
    loss: null,
    gradientNorm: 0,
    boundary: false,
    rolledBack: false,
  };
  readonly #lora: MicroLora;
  readonly #config: ResolvedLearner;
  readonly #evaluations = new Map<string, Evaluation>();
  readonly #limits: readonly DeltaLimit[];
  readonly #replay: Replay | null;
  readonly #guard: Guard | null;
  readonly #boundary: Boundary | null;
  readonly #lossOf = (example: Example, accepted?: readonly AdapterState[]): number => {
    const { module, signal } = example;
    const weights = accepted?.find((adapter) => adapter.module === module);
    return this.#evaluations.get(module)!.lossOf(example, signal, this.#reference.mean, weights)!;
  };
  readonly #history: History;
  #boundaryState: readonly number[];
  #boundaries = 0;
  #limited = 0;
  #baseline: Baseline = NO_BASELINE;
  #reference: Baseline = NO_BASELINE;

  /** @throws MicroLoraError `out-of-range`, `memory-full` */
  constructor(lora: MicroLora, config: ResolvedLearner, boundary: Boundary | null) {
    this.#lora = lora;
    this.#config = config;
    this.#history = new History(lora, config.undo);
    this.#replay = config.replay && new Replay(config.replay, config.seed, EXAMPLES);
    this.#guard = config.guard && new Guard(config.guard, EXAMPLES);
    this.#boundary = boundary;
    this.#boundaryState = boundary?.start() ?? [];
    this.#limits = lora.config.modules.map(({ module }) => new DeltaLimit(lora.adapterOf(module)));
    for (const { module, outFeatures } of lora.config.modules) {
      const [output, gradient] = [lora.allocate(outFeatures), lora.allocate(outFeatures)];
      this.#evaluations.set(module, new Evaluation(lora.adapterOf(module), config, output, gradient));
    }
  }

  /** Learns from one example. @param noise what was added to its output, in units of its scale @throws MicroLoraError */
  learn(example: Example, noise: Float32Array | null): void {
    const { result } = this;
    result.applied = false;
    result.reason = null;
    result.loss = null;
    result.gradientNorm = 0;
    result.boundary = false;
    result.rolledBack = false;
    if (!this.#lora.enabled) result.reason = "disabled";
    else if (example.signal.kind === "quality") this.#learnQuality(example, example.signal.quality, noise);
    else this.#learnExample(example);
  }

  /** Learns from all of them in one update, or from none. */
  learnBatch(examples: readonly Example[]): void {
    const before = this.weights();
    try {
      for (const example of examples) {
        const { module, x, gate, signal } = example;
        const evaluation = this.#evaluations.get(module)!;
        evaluation.at(example, signal, 0);
        this.#lora.adapt(x, { gradient: evaluation.gradient, module, reward: gate });
      }
      this.#lora.applyUpdates();
    } catch (error) {
      this.#history.goBack(before);
      throw error;
    }
    this.#history.remember(before);
    this.#limit();
  }

  /** Ends a task by hand. */
  consolidate(): void {
    this.#lora.consolidate();
    this.#guard?.accept(this.#history.weights);
  }

  /** A copy of the adapters as they are. */
  weights(): readonly AdapterState[] {
    return this.#history.weights();
  }

  /** @throws MicroLoraError `corrupt-checkpoint` */
  rollback(snapshot: readonly AdapterState[]): void {
    this.#history.rollback(snapshot);
    this.#guard?.accept(this.#history.weights);
  }

  undo(n: number): number {
    const taken = this.#history.undo(n);
    if (taken > 0) this.#guard?.accept(this.#history.weights);
    return taken;
  }

  /** The methods in use whose code was handed in. */
  get methods(): readonly Method[] {
    return [...this.#history.methods, ...(this.#boundary === null ? [] : [this.#boundary])];
  }

  report() {
    return {
      boundaries: this.#boundaries,
      limited: this.#limited,
      undoable: this.#history.count,
      replay: this.#replay && { count: this.#replay.count, bytes: this.#replay.bytes },
      guard: this.#guard?.report() ?? null,
    };
  }

  exportState(): UpdatesState {
    return {
      boundaryState: this.#boundaryState,
      boundaries: this.#boundaries,
      limited: this.#limited,
      baseline: this.#baseline,
      reference: this.#reference,
      replay: this.#replay?.exportState() ?? null,
      guard: this.#guard?.state ?? null,
    };
  }

  /** Takes a checked state of the same configuration. */
  restore(state: UpdatesState): void {
    this.#boundaryState = state.boundaryState;
    this.#boundaries = state.boundaries;
    this.#limited = state.limited;
    this.#baseline = state.baseline;
    this.#reference = state.reference;
    if (state.replay !== null) this.#replay?.restore(state.replay);
    if (state.guard !== null) this.#guard?.restore(state.guard);
  }

  #learnQuality(request: KeptRequest, quality: number, noise: Float32Array | null): void {
    if (noise === null) {
      const remedy = "Call explore for the request, or pass a gradient, what was chosen, or a rating";
      throw new MicroLoraError("nothing-to-learn-from", "feedback", "has a quality, but nothing was explored", remedy);
    }
    const advantage = advantageOf(this.#baseline, quality);
    if (advantage === 0) this.result.reason = "no-baseline";
    else {
      const gradient = new Float32Array(noise.length);
      reinforceGradient(noise, this.#config.exploration, advantage, gradient);
      this.#update({ ...request, signal: { kind: "gradient", items: [gradient], weight: 1, loss: null } });
    }
    this.#baseline = withScore(this.#baseline, quality);
  }

  #learnExample(example: Example): void {
    const { signal } = example;
    if (this.#guard === null) {
      this.#update(example);
    } else if (signal.kind === "gradient") {
      this.#update(this.#clipped(example, signal));
    } else if (this.#guard.holdsNext) {
      this.result.loss = this.#lossOf(example);
      const leaving = this.#guard.hold(example);
      if (leaving !== undefined) tolerated(() => this.#update(leaving));
      this.result.reason = "held-back";
    } else {
      this.#update(example);
      this.#guard.passed();
    }
    this.#observe(this.result.loss);
  }

  /** One update, and all that goes with it; what is refused is refused before anything has changed. */
  #update(example: Example): void {
    const { result } = this;
    const starts = this.#guard?.started === false;
    const before = this.#config.undo > 0 || starts ? this.weights() : null;
    const { loss, gradientNorm } = this.#step(example);
    result.applied = true;
    result.loss = loss;
    result.gradientNorm = gradientNorm;
    if (before !== null) {
      this.#history.remember(before);
      this.#guard?.start(before);
    }
    const { signal, module } = example;
    if (signal.kind === "rating") this.#reference = withScore(this.#reference, this.#evaluations.get(module)!.score);
    if (this.#replay !== null && signal.kind !== "gradient") {
      for (let k = 0; k < this.#replay.config.perUpdate; k++) {
        const earlier = this.#replay.draw();
        if (earlier !== undefined) tolerated(() => this.#step(earlier));
      }
      this.#replay.offer(example);
    }
    this.#limit();
    result.rolledBack = this.#check();
  }

  /** Lets the guard compare, if it is time; whether it took updates back. */
  #check(): boolean {
    const check = this.#guard?.updated() ?? null;
    if (check === null) return false;
    const losses = check.held.map((example) => this.#lossOf(example));
    const accepted = check.unknown.map((example) => this.#lossOf(example, check.accepted));
    const back = this.#guard!.judge(check, losses, accepted, this.#history.weights);
    if (back !== null) this.#history.goBack(back);
    return back !== null;
  }

  /** A caller's gradient, which a guard cannot check, is clipped where nothing else clips it, and Fisher and optimiser see no more of it. */
  #clipped(example: Example, signal: Extract<Signal, { kind: "gradient" }>): Example {
    const { adapter } = this.#evaluations.get(example.module)!;
    if (adapter.spec.clipNorm !== null) return example;
    const [gradient] = signal.items;
    adapter.measureExample(example.x, gradient);
    const excess = adapter.learning.gradientNorm / GUARDED_NORM;
    if (excess <= 1) return example;
    return { ...example, signal: { ...signal, items: [gradient.map((value) => value / excess)] } };
  }

  #step(example: Example): { loss: number | null; gradientNorm: number } {
    const { module, x, gate, signal } = example;
    const evaluation = this.#evaluations.get(module)!;
    const loss = evaluation.at(example, signal, this.#reference.mean);
    const { gradient } = evaluation;
    const reward = gate * signal.weight;
    return { loss, gradientNorm: this.#lora.learn(x, { gradient, module, reward }).gradientNorm };
  }

  /** Tells the boundary detector, and ends the task where it says so. */
  #observe(loss: number | null): void {
    if (this.#boundary === null || loss === null) return;
    const { state, changed } = this.#boundary.step(this.#boundaryState, loss);
    this.#boundaryState = state;
    if (!changed || !tolerated(() => this.consolidate())) return;
    this.#boundaries++;
    this.result.boundary = true;
  }

  #limit(): void {
    const { maxDelta } = this.#config;
    if (maxDelta === null) return;
    for (const limit of this.#limits) if (limit.enforce(maxDelta)) this.#limited++;
  }
}

/** Runs what may be refused as too large for float32, where there is nobody to tell; whether it was not. */
function tolerated(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof MicroLoraError && error.code === "update-overflow") return false;
    throw error;
  }
}
