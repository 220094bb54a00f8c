import { checkAllFinite, checkFloats } from "./base/check.js";
import { MicroLoraError } from "./base/errors.js";
import { norm } from "./base/unit.js";
import type { Pointer } from "./kernels/contract.js";
import type { Runtime } from "./kernels/runtime.js";
import { SLOW_MODULE } from "./learn/personalizer-config.js";
import type { Recall } from "./learn/recall.js";
import type { MicroLora } from "./micro-lora.js";

/** The query that a `Personalizer` has in hand, at unit length, and what becomes of it: y = x + gate(x) slow(x) + recall(x). */
export class PersonalQuery {
  /** The unit query [dimensions]. */
  readonly x: Float32Array;
  /** The transformed one, y [dimensions]. */
  readonly output: Float32Array;
  /** Room for the gradient at it [dimensions]. */
  readonly gradient: Float32Array;
  /** The share of the slow weights that is let through. */
  gate = 1;
  /** What the slow weights add, before the gate. */
  readonly #delta: Float32Array;
  readonly #work: Pointer;
  readonly #runtime: Runtime;
  readonly #slow: MicroLora | null;
  readonly #recall: Recall | null;
  readonly #gated: boolean;

  /** @throws MicroLoraError `memory-full` */
  constructor(runtime: Runtime, dimensions: number, slow: MicroLora | null, recall: Recall | null, gated: boolean) {
    this.#runtime = runtime;
    this.#slow = slow;
    this.#recall = recall;
    this.#gated = gated;
    this.#work = runtime.allocate(4 * dimensions);
    const part = (i: number) => runtime.view(this.#work + 4 * i * dimensions, dimensions);
    this.x = part(0);
    this.output = part(1);
    this.gradient = part(2);
    this.#delta = part(3);
  }

  /** Brings a query to unit length, in x and in the output, and returns its norm; 0 leaves both as they were. @throws MicroLoraError */
  place(query: Float32Array): number {
    checkFloats(query, this.x.length, "query");
    const length = norm(query);
    if (!Number.isFinite(length)) checkAllFinite(query, "query");
    if (length === 0) return 0;
    for (let i = 0; i < query.length; i++) this.x[i] = query[i]! / length;
    this.output.set(this.x);
    return length;
  }

  /** As `place`, where there is nothing to learn from the zero vector. */
  placeForLearning(query: Float32Array): void {
    if (this.place(query) !== 0) return;
    throw new MicroLoraError("nothing-to-learn-from", "query", "is the zero vector", "Embed some text first");
  }

  /** Transforms what was placed. */
  forward(): void {
    if (!this.#gated) this.addSlow(1);
    const share = this.#recall?.addTo(this.x.byteOffset, this.output.byteOffset) ?? 1;
    this.gate = this.#gated ? share : 1;
    if (this.#gated) this.addSlow(share);
  }

  /** y += gate * slow(x) */
  addSlow(gate: number): void {
    if (!this.#slow?.enabled) return;
    const adapter = this.#slow.adapterOf(SLOW_MODULE);
    if (gate === 1) {
      adapter.forwardAdd(this.x, this.output);
      return;
    }
    this.#delta.fill(0);
    adapter.forwardAdd(this.x, this.#delta);
    for (let i = 0; i < this.#delta.length; i++) this.output[i]! += gate * this.#delta[i]!;
  }

  /** The transform in the length of the query: query + length (y - x). */
  scaled(query: Float32Array, length: number): Float32Array {
    return query.map((value, i) => value + length * (this.output[i]! - this.x[i]!));
  }

  /** Frees the memory. */
  free(): void {
    this.#runtime.free(this.#work);
  }
}
