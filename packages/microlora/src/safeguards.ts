import type { AdapterState } from "./adapter/lora-adapter.js";
import type { Method } from "./adapter/methods.js";
import { refuseConfig } from "./base/check.js";
import { MicroLoraError } from "./base/errors.js";
import type { SafeguardsState } from "./checkpoint/safeguards-state.js";
import { History } from "./history.js";
import type { Boundary } from "./learn/boundaries.js";
import { DeltaLimit } from "./learn/capacity.js";
import { type Check, Guard, type Holding } from "./learn/guard.js";
import type { SafeguardsConfig } from "./learn/learner-config.js";
import { type Keeping, Replay } from "./learn/replay.js";
import type { MicroLora } from "./micro-lora.js";

/**
 * What keeps learning in bounds, whatever is learned from: copies to go back to, replay, a limit of each delta, a guard, boundaries.
 * It computes no loss and takes no step, so that who does may do it at once or wait for it. An update goes
 *
 *   before -> a step -> begin(before) -> a step along `draw()`, `replays` times -> finish -> judge, where that says what to compare.
 */
export class Safeguards<Kept> {
  readonly guard: Guard<Kept> | null;
  readonly #lora: MicroLora;
  readonly #config: SafeguardsConfig;
  readonly #history: History;
  readonly #limits: readonly DeltaLimit[];
  readonly #replay: Replay<Kept> | null;
  readonly #boundary: Boundary | null;
  #boundaryState: readonly number[];
  #boundaries = 0;
  #limited = 0;

  /** @param kind how what is learned from is kept @throws MicroLoraError `invalid-config`, `out-of-range`, `memory-full` */
  constructor(
    lora: MicroLora,
    config: SafeguardsConfig,
    boundary: Boundary | null,
    kind: Keeping<Kept> & Holding<Kept>,
  ) {
    if (boundary !== null && boundary.kind !== "boundary") {
      refuseConfig("boundary", boundary, "Pass one that was made, such as adwin()");
    }
    this.#lora = lora;
    this.#config = config;
    this.#history = new History(lora, config.undo);
    this.#replay = config.replay && new Replay(config.replay, config.seed, kind);
    this.guard = config.guard && new Guard(config.guard, kind);
    this.#boundary = boundary;
    this.#boundaryState = boundary?.start() ?? [];
    this.#limits = lora.config.modules.map(({ module }) => new DeltaLimit(lora.adapterOf(module)));
  }

  /** Before an update: a copy of the weights, where there may be need to go back. */
  before(): readonly AdapterState[] | null {
    return this.#config.undo > 0 || this.guard?.started === false ? this.weights() : null;
  }

  /** After the step of a new example. */
  begin(before: readonly AdapterState[] | null): void {
    if (before === null) return;
    this.#history.remember(before);
    this.guard?.start(before);
  }

  /** Steps along earlier examples that go with each new one. */
  get replays(): number {
    return this.#replay?.config.perUpdate ?? 0;
  }

  /** An earlier example; undefined if there is none. */
  draw(): Kept | undefined {
    return this.#replay?.draw();
  }

  /** After the last step. @param example may be replayed from here on; none if null @returns what the guard wants compared by now */
  finish(example: Kept | null): Check<Kept> | null {
    if (example !== null) this.#replay?.offer(example);
    this.#limit();
    return this.guard?.updated() ?? null;
  }

  /** Lets the guard keep the updates or take them back; whether it took them back. @param losses,unknown as `Guard.judge` has them */
  judge(check: Check<Kept>, losses: readonly number[], unknown: readonly number[]): boolean {
    const back = this.guard!.judge(check, losses, unknown, this.weights);
    if (back !== null) this.#history.goBack(back);
    return back !== null;
  }

  /** Several steps as one update, or none of them. @throws what `steps` does */
  together(steps: () => void): void {
    const before = this.weights();
    try {
      steps();
    } catch (error) {
      this.#history.goBack(before);
      throw error;
    }
    this.#history.remember(before);
    this.#limit();
  }

  /** Tells the boundary detector a loss, and ends the task where it says so; whether it did. */
  observe(loss: number | null): boolean {
    if (this.#boundary === null || loss === null) return false;
    const { state, changed } = this.#boundary.step(this.#boundaryState, loss);
    this.#boundaryState = state;
    if (!changed || !tolerated(() => this.consolidate())) return false;
    this.#boundaries++;
    return true;
  }

  /** Ends a task by hand. @throws MicroLoraError `update-overflow`, `memory-full` */
  consolidate(): void {
    this.#lora.consolidate();
    this.guard?.accept(this.weights);
  }

  /** A copy of the adapters as they are. */
  readonly weights = (): readonly AdapterState[] => this.#history.weights();

  /** @throws MicroLoraError `corrupt-checkpoint` */
  rollback(snapshot: readonly AdapterState[]): void {
    this.#history.rollback(snapshot);
    this.guard?.accept(this.weights);
  }

  /** @throws MicroLoraError `out-of-range` */
  undo(n: number): number {
    const taken = this.#history.undo(n);
    if (taken > 0) this.guard?.accept(this.weights);
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
      guard: this.guard?.report() ?? null,
    };
  }

  /** All of it but what `undo` remembers. */
  exportState(): SafeguardsState<Kept> {
    return {
      boundaryState: this.#boundaryState,
      boundaries: this.#boundaries,
      limited: this.#limited,
      replay: this.#replay?.exportState() ?? null,
      guard: this.guard?.state ?? null,
    };
  }

  /** Takes a checked state of the same configuration. */
  restore(state: SafeguardsState<Kept>): void {
    this.#boundaryState = state.boundaryState;
    this.#boundaries = state.boundaries;
    this.#limited = state.limited;
    if (state.replay !== null) this.#replay?.restore(state.replay);
    if (state.guard !== null) this.guard?.restore(state.guard);
  }

  #limit(): void {
    const { maxDelta } = this.#config;
    if (maxDelta === null) return;
    for (const limit of this.#limits) if (limit.enforce(maxDelta)) this.#limited++;
  }
}

/** Runs what may be refused as too large for float32, where there is nobody to tell; whether it was not. */
export function tolerated(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (isOverflow(error)) return false;
    throw error;
  }
}

/** Whether something was refused because float32 might not hold it. */
export function isOverflow(error: unknown): boolean {
  return error instanceof MicroLoraError && error.code === "update-overflow";
}
