import { type LearnResult, NOTHING } from "../adapter/feedback.js";
import type { AdapterState, LoraAdapter } from "../adapter/lora-adapter.js";
import type { MicroLora } from "../adapter/micro-lora.js";
import { refusal } from "../base/errors.js";
import type { Boundary } from "./boundaries.js";
import type { LearnerState } from "./codec-check.js";
import type { SafeguardsState } from "./codec-safeguards.js";
import type { ResolvedLearner } from "./config.js";
import { type Ask, drive, isRunaway, type Measured, UpdateCycle } from "./cycle.js";
import { evaluateExample, evaluationRoom, lossOfExample, reserveEvaluation } from "./evaluation.js";
import { EXAMPLES, type Example, type KeptRequest } from "./example.js";
import { advantageOf, type Baseline, NO_BASELINE, reinforceGradient, withScore } from "./exploration.js";
import type { Evaluated } from "./feedback/evaluate.js";

/** Norm of a caller's gradient, with respect to the parameters, from which on a guard clips it. */
const GUARDED_NORM = 1;

/** An example whose loss was computed elsewhere; its gradient is in `evaluationRoom`. */
export interface KnownExample {
  readonly example: Example;
  readonly loss: number | null;
  /** Share of what the module adds that stays before the step, in [0, 1]. */
  readonly keep: number;
  /** What `report` counts. */
  readonly reward: number;
}

/** The state that updates lead to, beside the weights. */
type UpdatesState = SafeguardsState<Example> & Pick<LearnerState, "baseline" | "reference">;

type Answers = { readonly [Do in Ask<Example>["do"]]: (ask: Extract<Ask<Example>, { do: Do }>) => unknown };

/** Drives the update cycle of a `Learner`: computes losses and gradients, and takes the steps. */
export class Updates {
  readonly cycle: UpdateCycle<Example>;
  readonly #lora: MicroLora;
  readonly #config: ResolvedLearner;
  #baseline: Baseline = NO_BASELINE;
  #reference: Baseline = NO_BASELINE;
  #known: KnownExample | null = null;
  /** Score of the item chosen or rated in the example measured last. */
  #score = 0;

  /** @throws MicroLoraError `invalid-config`, `out-of-range`, `memory-full` */
  constructor(lora: MicroLora, config: ResolvedLearner, boundary: Boundary | null) {
    this.#lora = lora;
    this.#config = config;
    this.cycle = new UpdateCycle(lora, config, boundary, EXAMPLES);
    for (const { module, outFeatures } of lora.config.modules) {
      evaluationRoom(lora.runtime, outFeatures);
      reserveEvaluation(lora.adapterOf(module), 1);
    }
  }

  /**
   * Learns from one example.
   * @param noise that was added to its output, in units of its scale
   * @throws MicroLoraError; nothing has changed then
   */
  learn(example: Example, noise: Float32Array | null): LearnResult {
    if (example.signal.kind === "quality") return this.#learnQuality(example, example.signal.quality, noise);
    return drive(this.cycle.learn(example), this.#answer);
  }

  /** Learns from an example whose loss is known. @throws MicroLoraError; nothing has changed then */
  learnKnown(known: KnownExample): LearnResult {
    this.#known = known;
    try {
      return drive(this.cycle.learn(known.example), this.#answer);
    } finally {
      this.#known = null;
    }
  }

  /** Learns from all of them in one update, or from none. */
  learnBatch(examples: readonly Example[]): void {
    this.cycle.together(() => {
      for (const example of examples) {
        const { module, x, gate } = example;
        const adapter = this.#lora.adapterOf(module);
        evaluateExample(adapter, this.#config, example, 0);
        const { gradient } = evaluationRoom(adapter.runtime, adapter.outFeatures);
        this.#lora.adapt(x, { gradient, module, reward: gate });
      }
      this.#lora.applyUpdates();
    });
  }

  /** Mean score of the items rated so far. */
  get reference(): number {
    return this.#reference.mean;
  }

  exportState(): UpdatesState {
    return { ...this.cycle.exportState(), baseline: this.#baseline, reference: this.#reference };
  }

  /** Takes a checked state of the same configuration. @throws MicroLoraError `memory-full` */
  restore(state: UpdatesState): void {
    for (const { module, signal } of [...(state.replay?.examples ?? []), ...(state.guard?.held ?? [])]) {
      reserveEvaluation(this.#lora.adapterOf(module), signal.items.length);
    }
    this.cycle.restore(state);
    this.#baseline = state.baseline;
    this.#reference = state.reference;
  }

  #learnQuality(request: KeptRequest, quality: number, noise: Float32Array | null): LearnResult {
    if (noise === null) {
      const remedy = "Call explore for the request, or pass a gradient, a chosen item or a rating";
      throw refusal("nothing-to-learn-from", "feedback", "has a quality, but nothing was explored", remedy);
    }
    const advantage = advantageOf(this.#baseline, quality);
    let result: LearnResult = { ...NOTHING, reason: "no-baseline" };
    if (advantage !== 0) {
      const gradient = new Float32Array(noise.length);
      reinforceGradient(noise, this.#config.exploration, advantage, gradient);
      const example: Example = { ...request, signal: { kind: "gradient", items: [gradient], weight: 1, loss: null } };
      result = drive(this.cycle.step(example), this.#answer);
    }
    this.#baseline = withScore(this.#baseline, quality);
    return result;
  }

  readonly #answer = (ask: Ask<Example>): unknown => (this.#answers[ask.do] as (ask: Ask<Example>) => unknown)(ask);

  readonly #answers: Answers = {
    measure: ({ example }) => this.#measure(example),
    step: ({ example, isNew }) => this.#step(example, isNew),
    losses: ({ examples, weights }) => examples.map((example) => this.#lossOf(example, weights)),
  };

  #measure(example: Example): Measured {
    const { module, x, gate, signal } = example;
    const adapter = this.#lora.adapterOf(module);
    const { loss } = this.#isKnown(example) ? this.#known! : this.#evaluate(adapter, example);
    const { gradient } = evaluationRoom(adapter.runtime, adapter.outFeatures);
    adapter.measureExample(x, gradient);
    if (signal.kind === "gradient") this.#clip(adapter, x, gradient);
    adapter.learning.allowStep(gate * signal.weight);
    return { loss, gradientNorm: adapter.learning.gradientNorm };
  }

  #isKnown(example: Example): boolean {
    return this.#known?.example === example;
  }

  #evaluate(adapter: LoraAdapter, example: Example): Evaluated {
    const evaluated = evaluateExample(adapter, this.#config, example, this.#reference.mean);
    this.#score = evaluated.score;
    return evaluated;
  }

  #step(example: Example, isNew: boolean): void {
    const { module, signal } = example;
    const adapter = this.#lora.adapterOf(module);
    if (this.#isKnown(example)) adapter.shrink(this.#known!.keep);
    this.#lora.takeStep(adapter);
    if (isNew && signal.kind === "rating") this.#reference = withScore(this.#reference, this.#score);
  }

  #lossOf(example: Example, accepted: readonly AdapterState[] | null): number {
    const { module } = example;
    const weights = accepted?.find((adapter) => adapter.module === module) ?? null;
    const adapter = this.#lora.adapterOf(module);
    try {
      const loss = lossOfExample(adapter, this.#config, example, this.#reference.mean, weights);
      return loss ?? Number.POSITIVE_INFINITY;
    } catch (error) {
      if (isRunaway(error)) return Number.POSITIVE_INFINITY;
      throw error;
    }
  }

  /** A guard cannot check a caller's gradient; so it is clipped where nothing else clips it, before Fisher and optimiser see it. */
  #clip(adapter: LoraAdapter, x: Float32Array, gradient: Float32Array): void {
    if (this.cycle.guard === null || adapter.spec.clipNorm !== null) return;
    const excess = adapter.learning.gradientNorm / GUARDED_NORM;
    if (excess <= 1) return;
    for (let i = 0; i < gradient.length; i++) gradient[i]! /= excess;
    adapter.measureExample(x, gradient);
  }
}
