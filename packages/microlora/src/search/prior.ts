import type { MicroLoraState } from "../adapter/codec.js";
import { refusal } from "../base/errors.js";

/** A mean over fewer people would tell of single ones. */
const LEAST_PEOPLE = 20;

/** The slow weights as they are, with nothing else of how they came to be. */
export function weightsOnly(state: MicroLoraState): MicroLoraState {
  const adapters = state.adapters.map(({ module, loraA, loraB, bias }) => ({
    module,
    loraA,
    loraB,
    ...(bias && { bias }),
    step: 0,
    pendingUpdates: 0,
    updates: 0,
  }));
  return { ...state, adapters, adaptationCount: 0, forwardCount: 0 };
}

/** The mean of what is general in many people: of their biases, one at a time, so that a million need no more memory than one. */
export class PopulationMean {
  #sum: Float64Array | null = null;
  #count = 0;

  /** @throws MicroLoraError `invalid-config` for one without a bias, or of another width */
  add(state: MicroLoraState | null): void {
    const bias = state?.adapters[0]?.bias;
    if (bias === undefined) {
      throw refusal("invalid-config", `users[${this.#count}]`, "has no slow bias", "Create users with slow.bias");
    }
    this.#sum ??= new Float64Array(bias.length);
    if (bias.length !== this.#sum.length) {
      const problem = `is ${bias.length} wide, others ${this.#sum.length}`;
      throw refusal("invalid-config", `users[${this.#count}]`, problem, "Pass users of one embedder");
    }
    for (let i = 0; i < bias.length; i++) this.#sum[i]! += bias[i]!;
    this.#count++;
  }

  /** @throws MicroLoraError `out-of-range` for fewer than 20 people */
  mean(): Float32Array {
    if (this.#sum === null || this.#count < LEAST_PEOPLE) {
      const problem = `are ${this.#count}, and a mean of so few tells of single ones`;
      throw refusal("out-of-range", "users", problem, `Pass at least ${LEAST_PEOPLE} people`);
    }
    return Float32Array.from(this.#sum, (sum) => sum / this.#count);
  }
}
