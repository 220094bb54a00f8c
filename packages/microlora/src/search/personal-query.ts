import type { MicroLora } from "../adapter/micro-lora.js";
import { refusal } from "../base/errors.js";
import { norm, writeUnit } from "../base/unit.js";
import type { Pointer } from "../kernels/contract.js";
import { perWidth } from "../kernels/per-width.js";
import type { Runtime } from "../kernels/runtime.js";
import { gateOf, type Margin } from "./margin.js";
import { SLOW_MODULE } from "./personalizer-config.js";
import { paddedWidth, type Recall } from "./recall.js";
import { toFloats } from "./vector-index.js";

/** Vectors of one query at a time, shared by every user of one width in a runtime; what kernels see more of them is zeros. */
interface QueryRoom {
  /** The unit query [dimensions]. */
  readonly x: Float32Array;
  /** x + recall(x), without the slow weights [dimensions]. */
  readonly base: Float32Array;
  /** The transformed query [dimensions]. */
  readonly output: Float32Array;
  /** dLoss/dOutput [dimensions]. */
  readonly gradient: Float32Array;
  /** What the slow weights add, before the gate [dimensions]. */
  readonly delta: Float32Array;
  readonly xAt: Pointer;
  readonly outputAt: Pointer;
  readonly gradientAt: Pointer;
}

const roomOf = perWidth((runtime: Runtime, width: number): QueryRoom => {
  const padded = paddedWidth(width);
  const at = runtime.allocate(5 * padded);
  const place = (i: number) => at + 4 * i * padded;
  const part = (i: number) => runtime.view(place(i), width);
  return {
    x: part(0),
    base: part(1),
    output: part(2),
    gradient: part(3),
    delta: part(4),
    xAt: place(0),
    outputAt: place(2),
    gradientAt: place(3),
  };
});

/** The query in hand of a `Personalizer`, and its transform: y = x + recall(x) + gate(x) slow(x). */
export class PersonalQuery {
  readonly room: QueryRoom;
  /** Share of the slow weights that is let through. */
  gate = 1;
  /** Share of recall's routing that kept queries have. */
  share = 0;
  readonly #runtime: Runtime;
  readonly #dimensions: number;
  readonly #slow: MicroLora | null;
  readonly #recall: Recall | null;
  readonly #gated: boolean;

  /** @throws MicroLoraError `memory-full` */
  constructor(runtime: Runtime, dimensions: number, slow: MicroLora | null, recall: Recall | null, gated: boolean) {
    this.room = roomOf(runtime, dimensions);
    this.#runtime = runtime;
    this.#dimensions = dimensions;
    this.#slow = slow;
    this.#recall = recall;
    this.#gated = gated;
  }

  /**
   * Brings a query to unit length, in x and in the output.
   * @returns its norm; 0 leaves both as they were
   * @throws MicroLoraError `not-finite`
   */
  place(query: Float32Array): number {
    const length = norm(query);
    if (length === 0) return 0;
    const { x, base, output } = this.room;
    writeUnit(query, x, 0, "query");
    base.set(x);
    output.set(x);
    this.gate = 1;
    this.share = 0;
    return length;
  }

  /** A query as float32. @throws MicroLoraError `shape-mismatch` */
  floatsOf(query: unknown): Float32Array {
    return toFloats(query, this.#dimensions, "query");
  }

  /** As `place`; the zero vector teaches nothing. @throws MicroLoraError `nothing-to-learn-from`, `shape-mismatch`, `not-finite` */
  placeForLearning(query: unknown): void {
    if (this.place(this.floatsOf(query)) !== 0) return;
    throw refusal("nothing-to-learn-from", "query", "is the zero vector", "Embed some text first");
  }

  /** Routes the query that was placed, for learning. */
  route(): void {
    this.share = this.#recall?.route(this.room.xAt) ?? 0;
  }

  /** Transforms the query that was placed. @param margin over an index; without one, recall's share alone opens the gate */
  forward(margin: Margin | null): void {
    const { base, output, outputAt } = this.room;
    this.route();
    this.#recall?.addTo(outputAt);
    if (this.#gated) this.gate = margin === null ? this.share : gateOf(margin, this.share);
    base.set(output);
    if (this.#slow?.enabled === true && this.gate > 0) this.#addSlow(this.#slow);
  }

  /** The transform in the length of the query: query + length (y - x). */
  scaled(query: Float32Array, length: number): Float32Array {
    const { x, output } = this.room;
    return query.map((value, i) => value + length * (output[i]! - x[i]!));
  }

  /** output += gate * slow(x) */
  #addSlow(slow: MicroLora): void {
    const { x, output, delta, outputAt } = this.room;
    const adapter = slow.adapterOf(SLOW_MODULE);
    if (adapter.rank === 0) {
      const { kernels, scratch, f32 } = this.#runtime;
      const gate = scratch.rows.reserve(1);
      f32[gate >>> 2] = this.gate;
      kernels.expandAdd(gate, adapter.pointers.bias, outputAt, 1, this.#dimensions);
      return;
    }
    delta.fill(0);
    adapter.forwardAdd(x, delta);
    for (let i = 0; i < delta.length; i++) output[i]! += this.gate * delta[i]!;
  }
}
