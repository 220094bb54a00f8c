import type { AdapterState } from "./adapter/lora-adapter.js";
import { MicroLoraError } from "./base/errors.js";
import type { LearnerState } from "./checkpoint/learner-check.js";
import type { SafeguardsState } from "./checkpoint/safeguards-state.js";
import type { Boundary } from "./learn/boundaries.js";
import { Evaluation } from "./learn/evaluation.js";
import { EXAMPLES, type Example, type KeptRequest } from "./learn/example.js";
import { advantageOf, type Baseline, NO_BASELINE, reinforceGradient, withScore } from "./learn/exploration.js";
import type { Check } from "./learn/guard.js";
import type { ResolvedLearner } from "./learn/learner-config.js";
import type { Signal } from "./learn/signal.js";
import type { MicroLora } from "./micro-lora.js";
import { Safeguards, tolerated } from "./safeguards.js";

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
type UpdatesState = SafeguardsState<Example> & Pick<LearnerState, "baseline" | "reference">;

/** How a `Learner` updates the weights: from an example to a step, with its safeguards around it. */
export class Updates {
  readonly safeguards: Safeguards<Example>;
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
  #baseline: Baseline = NO_BASELINE;
  #reference: Baseline = NO_BASELINE;

  /** @throws MicroLoraError `out-of-range`, `memory-full` */
  constructor(lora: MicroLora, config: ResolvedLearner, boundary: Boundary | null) {
    this.#lora = lora;
    this.#config = config;
    this.safeguards = new Safeguards(lora, config, boundary, EXAMPLES);
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
    this.safeguards.together(() => {
      for (const example of examples) {
        const { module, x, gate, signal } = example;
        const evaluation = this.#evaluations.get(module)!;
        evaluation.at(example, signal, 0);
        this.#lora.adapt(x, { gradient: evaluation.gradient, module, reward: gate });
      }
      this.#lora.applyUpdates();
    });
  }

  exportState(): UpdatesState {
    return { ...this.safeguards.exportState(), baseline: this.#baseline, reference: this.#reference };
  }

  /** Takes a checked state of the same configuration. */
  restore(state: UpdatesState): void {
    this.safeguards.restore(state);
    this.#baseline = state.baseline;
    this.#reference = state.reference;
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
    const { guard } = this.safeguards;
    if (guard === null) {
      this.#update(example);
    } else if (signal.kind === "gradient") {
      this.#update(this.#clipped(example, signal));
    } else if (guard.holdsNext) {
      this.result.loss = this.#lossOf(example);
      const leaving = guard.hold(example);
      if (leaving !== undefined) tolerated(() => this.#update(leaving));
      this.result.reason = "held-back";
    } else {
      this.#update(example);
      guard.passed();
    }
    this.result.boundary = this.safeguards.observe(this.result.loss);
  }

  /** One update, and all that goes with it; what is refused is refused before anything has changed. */
  #update(example: Example): void {
    const { result, safeguards } = this;
    const before = safeguards.before();
    const { loss, gradientNorm } = this.#step(example);
    result.applied = true;
    result.loss = loss;
    result.gradientNorm = gradientNorm;
    safeguards.begin(before);
    const { signal, module } = example;
    if (signal.kind === "rating") this.#reference = withScore(this.#reference, this.#evaluations.get(module)!.score);
    const isKept = signal.kind !== "gradient";
    for (let k = isKept ? safeguards.replays : 0; k > 0; k--) {
      const earlier = safeguards.draw();
      if (earlier !== undefined) tolerated(() => this.#step(earlier));
    }
    const check = safeguards.finish(isKept ? example : null);
    result.rolledBack = check !== null && this.#judge(check);
  }

  #judge(check: Check<Example>): boolean {
    const losses = check.held.map((example) => this.#lossOf(example));
    const accepted = check.unknown.map((example) => this.#lossOf(example, check.accepted));
    return this.safeguards.judge(check, losses, accepted);
  }

  #lossOf(example: Example, accepted?: readonly AdapterState[]): number {
    const { module, signal } = example;
    const weights = accepted?.find((adapter) => adapter.module === module);
    return this.#evaluations.get(module)!.lossOf(example, signal, this.#reference.mean, weights)!;
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
}
