import { OnnxError } from "../base/errors.js";

/** Frees a model's sessions once the last call has finished. */
export class Lifetime {
  readonly #free: () => Promise<void>;
  #uses = 0;
  #closed: Promise<void> | undefined;
  #idle: (() => void) | undefined;

  constructor(free: () => Promise<void>) {
    this.#free = free;
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** @throws OnnxError `disposed` */
  checkLive(cause?: unknown): void {
    if (this.isClosed)
      throw new OnnxError("disposed", "model", "it was closed, or disposed of", "Open it again", { cause });
  }

  /** Runs an action that needs the model; whatever fails after the model was closed, failed for that. @throws OnnxError `disposed` */
  async use<T>(action: () => Promise<T>): Promise<T> {
    this.checkLive();
    this.#uses++;
    try {
      return await action();
    } catch (error) {
      this.checkLive(error);
      throw error;
    } finally {
      if (--this.#uses === 0) this.#idle?.();
    }
  }

  /** Refuses what is asked from now on, waits for what is under way, and frees. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    if (this.#uses > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#free();
  }
}
