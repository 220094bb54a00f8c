import { checkState } from "../adapter/codec.js";
import type { AdapterState } from "../adapter/lora-adapter.js";
import type { Method } from "../adapter/methods/method.js";
import type { MicroLora } from "../adapter/micro-lora.js";
import { checkCount } from "../base/check.js";

/** The adapters as they were before an update. */
interface Copy {
  readonly before: readonly AdapterState[];
  /** A task ended since: `undo` leaves Fisher information and anchor as that end made them. */
  consolidated: boolean;
}

/** Copies of the adapters of a MicroLora, for `undo`, and the way back to others that a caller or a guard kept. */
export class History {
  readonly #lora: MicroLora;
  readonly #limit: number;
  #copies: Copy[] = [];
  /** Number of updates, and how many of them the guard has accepted. */
  #updates = 0;
  #accepted = 0;

  /** @param limit copies that are kept at most */
  constructor(lora: MicroLora, limit: number) {
    this.#lora = lora;
    this.#limit = limit;
  }

  /** Number of updates that can be taken back. */
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

  /** After an update. @param before a copy from before it, where `undo` may want it */
  updated(before: readonly AdapterState[] | null): void {
    this.#updates++;
    if (this.#limit === 0 || before === null) return;
    this.#copies.push({ before, consolidated: false });
    if (this.#copies.length > this.#limit) this.#copies.shift();
  }

  /** A task has ended. */
  consolidated(): void {
    for (const copy of this.#copies) copy.consolidated = true;
  }

  /** The guard has accepted the updates so far. */
  accept(): void {
    this.#accepted = this.#updates;
  }

  /** Back to the weights that the guard accepted; the copies of what it rejects are forgotten. */
  reject(accepted: readonly AdapterState[]): void {
    this.#lora.restoreAdapters(accepted);
    this.rejected();
  }

  /** The weights are back where the guard accepted them last. */
  rejected(): void {
    const rejected = Math.min(Math.max(0, this.#updates - this.#accepted), this.#copies.length);
    this.#copies.length -= rejected;
    this.#updates = this.#accepted;
  }

  /**
   * Takes the last n updates back, as far as they are remembered; returns how many.
   * @throws MicroLoraError `out-of-range`, `memory-full`; nothing has changed then
   */
  undo(n: number): number {
    checkCount(n, Number.MAX_SAFE_INTEGER, "n");
    const taken = Math.min(n, this.#copies.length);
    if (taken === 0) return 0;
    const { before, consolidated } = this.#copies[this.#copies.length - taken]!;
    this.#lora.restoreAdapters(before, consolidated);
    this.#copies.length -= taken;
    this.#updates -= taken;
    return taken;
  }

  /** Back to a copy that a caller kept. @throws MicroLoraError `corrupt-checkpoint`, `memory-full`; nothing has changed then */
  rollback(snapshot: readonly AdapterState[]): void {
    checkState({ ...this.#lora.exportState(), adapters: snapshot }, this.methods);
    this.#lora.restoreAdapters(snapshot);
  }
}
