import { checkAllFinite, checkFloats, checkRange } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import type { Arena } from "../kernels/arena.js";
import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import type { LoraAdapter } from "./lora-adapter.js";
import type { Penalty } from "./penalty.js";

/**
 * A Fisher diagonal and an anchor held by the caller, for `applyUpdatesWithEwc`; the adapter's own, which `learn` feeds,
 * need none of it. Blocks have the parameters' layout [A, B, bias].
 */
export class EwcState {
  /** @internal */ readonly runtime: Runtime;
  readonly #arena: Arena;
  readonly #adapter: { readonly rank: number; readonly inFeatures: number; readonly outFeatures: number };
  readonly #length: number;
  #fisher: Pointer;
  #optimal: Pointer;

  private constructor(adapter: LoraAdapter) {
    const { rank, inFeatures, outFeatures, runtime } = adapter;
    this.#adapter = { rank, inFeatures, outFeatures };
    this.#length = adapter.paramCount;
    this.runtime = runtime;
    this.#arena = runtime.arena(this);
    this.#fisher = this.#arena.allocate(2 * this.#length);
    this.#optimal = this.#fisher + 4 * this.#length;
    this.updateOptimal(adapter);
  }

  /** Zero Fisher, anchored at the adapter's current weights. */
  static fromAdapter(adapter: LoraAdapter): EwcState {
    return new EwcState(adapter);
  }

  /** Live view [rank, inFeatures]. */
  get fisherA(): Float32Array {
    return this.#part(this.#fisher, "A");
  }

  /** Live view [rank, outFeatures]. */
  get fisherB(): Float32Array {
    return this.#part(this.#fisher, "B");
  }

  /** Live view [outFeatures], empty without a bias. */
  get fisherBias(): Float32Array {
    return this.#part(this.#fisher, "bias");
  }

  /** Live view [rank, inFeatures]. */
  get optimalA(): Float32Array {
    return this.#part(this.#optimal, "A");
  }

  /** Live view [rank, outFeatures]. */
  get optimalB(): Float32Array {
    return this.#part(this.#optimal, "B");
  }

  /** Live view [outFeatures], empty without a bias. */
  get optimalBias(): Float32Array {
    return this.#part(this.#optimal, "bias");
  }

  /**
   * fisher <- decay * fisher + (1 - decay) * g^2, with g the gradient of one example.
   * @param gradA [rank, inFeatures]; @param gradB [rank, outFeatures]; @param decay in [0, 1]
   * @param gradBias [outFeatures], where there is a bias
   */
  updateFisher(gradA: Float32Array, gradB: Float32Array, decay: number, gradBias?: Float32Array): void {
    checkRange(decay, 0, 1, "decay");
    const parts = [
      [gradA, this.fisherA, "gradA"],
      [gradB, this.fisherB, "gradB"],
      [gradBias ?? new Float32Array(this.fisherBias.length), this.fisherBias, "gradBias"],
    ] as const;
    for (const [gradient, fisher, where] of parts) {
      checkFloats(gradient, fisher.length, where);
      checkAllFinite(gradient, where);
      checkSquares(gradient, where);
    }
    for (const [gradient, fisher] of parts) {
      const g = this.runtime.scratch.gradient.place(gradient);
      this.runtime.kernels.updateFisher(fisher.byteOffset, g, fisher.length, decay);
    }
  }

  /** Anchors at the adapter's current weights. */
  updateOptimal(adapter: LoraAdapter): void {
    this.#check(adapter);
    this.optimalA.set(adapter.loraA);
    this.optimalB.set(adapter.loraB);
    if (adapter.bias !== undefined) this.optimalBias.set(adapter.bias);
  }

  /** @internal The penalty of this state for its adapter. */
  penaltyFor(adapter: LoraAdapter, ewcLambda: number): Penalty {
    this.#check(adapter);
    return { fisher: this.#fisher, anchor: this.#optimal, ewcLambda };
  }

  /** Frees the memory; any use after that is refused, and views show NaN. */
  close(): void {
    this.#arena.close();
    this.#fisher = 0;
    this.#optimal = 0;
  }

  /** As `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #part(block: Pointer, part: "A" | "B" | "bias"): Float32Array {
    if (block === 0) throw refusal("disposed", "EwcState", "it was closed", "Make it again");
    const { rank, inFeatures, outFeatures } = this.#adapter;
    const [a, b] = [rank * inFeatures, rank * outFeatures];
    const view = (from: number, floats: number) => this.#arena.lend(this.#fisher, block + 4 * from, floats);
    if (part === "A") return view(0, a);
    if (part === "B") return view(a, b);
    return view(a + b, this.#length - a - b);
  }

  #check(adapter: LoraAdapter): void {
    const { rank, inFeatures, outFeatures } = this.#adapter;
    const same =
      adapter.runtime === this.runtime &&
      adapter.rank === rank &&
      adapter.inFeatures === inFeatures &&
      adapter.outFeatures === outFeatures &&
      adapter.paramCount === this.#length;
    if (same && this.#fisher !== 0) return;
    throw refusal(
      this.#fisher === 0 ? "disposed" : "shape-mismatch",
      "EwcState",
      this.#fisher === 0 ? "it was closed" : `belongs to another adapter than ${adapter.module}`,
      "Make it with EwcState.fromAdapter",
    );
  }
}

/** The modules' states of a caller. @throws MicroLoraError `invalid-argument` */
export function checkEwcStates(ewc: ReadonlyMap<string, EwcState>): ReadonlyMap<string, EwcState> {
  const isMap = ewc instanceof Map && [...ewc.values()].every((state) => state instanceof EwcState);
  if (isMap) return ewc;
  const remedy = "Pass a Map from module names to what EwcState.fromAdapter gives";
  throw refusal("invalid-argument", "ewc", `is ${shown(ewc)}`, remedy);
}

function checkSquares(values: Float32Array, where: string): void {
  for (let i = 0; i < values.length; i++) {
    if (Math.fround(values[i]! ** 2) === Number.POSITIVE_INFINITY) {
      throw refusal("update-overflow", `${where}[${i}]`, `${values[i]} squared exceeds float32`, "Scale it down");
    }
  }
}
