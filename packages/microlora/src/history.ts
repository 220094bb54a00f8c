import type { AdapterState } from "./adapter/lora-adapter.js";
import type { Method } from "./adapter/methods.js";
import { checkCount } from "./base/check.js";
import { checkState } from "./checkpoint/state.js";
import type { MicroLora } from "./micro-lora.js";

/** Copies of the adapters of a MicroLora, to go back to: the last ones by themselves, others by hand. */
export class History {
  readonly #lora: MicroLora;
  readonly #limit: number;
  readonly #copies: (readonly AdapterState[])[] = [];

  /** @param limit copies that are kept at most */
  constructor(lora: MicroLora, limit: number) {
    this.#lora = lora;
    this.#limit = limit;
  }

  /** Number of copies that are kept. */
  get count(): number {
    return this.#copies.length;
  }

  /** A copy of the adapters as they are: weights, optimiser and EWC. */
  readonly weights = (): readonly AdapterState[] =>
    this.#lora.config.modules.map(({ module }) => this.#lora.adapterOf(module).exportState());

  /** The methods in use whose code was handed in. */
  get methods(): readonly Method[] {
    const { optimizer, ewc, schedule } = this.#lora.adapterOf(this.#lora.config.modules[0]!.module).spec.methods;
    return [optimizer, ewc, schedule].filter((method) => method !== null);
  }

  /** Keeps a copy from before an update. */
  remember(before: readonly AdapterState[]): void {
    if (this.#limit === 0) return;
    this.#copies.push(before);
    if (this.#copies.length > this.#limit) this.#copies.shift();
  }

  /** Takes the last n updates back, as far as they are remembered; returns how many. @throws MicroLoraError `out-of-range` */
  undo(n: number): number {
    checkCount(n, Number.MAX_SAFE_INTEGER, "n");
    const taken = Math.min(n, this.#copies.length);
    if (taken === 0) return 0;
    const [before] = this.#copies.splice(this.#copies.length - taken);
    this.goBack(before!);
    return taken;
  }

  /** Back to a copy that a caller kept. @throws MicroLoraError `corrupt-checkpoint`; nothing has changed then */
  rollback(snapshot: readonly AdapterState[]): void {
    checkState({ ...this.#lora.exportState(), adapters: snapshot }, this.methods);
    this.goBack(snapshot);
  }

  /** Back to a copy that is known to be one. */
  goBack(states: readonly AdapterState[]): void {
    for (const state of states) this.#lora.adapterOf(state.module).restoreState(state);
  }
}
