import { limitDelta } from "../adapter/delta-limit.js";
import { type LearnResult, NOTHING } from "../adapter/feedback.js";
import type { AdapterState } from "../adapter/lora-adapter.js";
import type { Method } from "../adapter/methods/method.js";
import type { MicroLora } from "../adapter/micro-lora.js";
import { refuseConfig } from "../base/check.js";
import { MicroLoraError, refusal } from "../base/errors.js";
import type { Boundary } from "./boundaries.js";
import type { SafeguardsState } from "./codec-safeguards.js";
import type { SafeguardsConfig } from "./config.js";
import { type Check, Guard, type Holding } from "./guard.js";
import { History } from "./history.js";
import { Replay } from "./replay.js";

/** How one kind of example is kept, held back, and told from kinds that cannot be. */
export interface ExampleKind<Kept> extends Holding<Kept> {
  /** Bytes that an example takes. */
  bytesOf(example: Kept): number;
  /** Whether its loss can be computed again, so that it may be replayed and held back. */
  isReusable(example: Kept): boolean;
}

/** One question of the update cycle to whoever drives it. */
export type Ask<Kept> =
  /** The loss and the gradient of an example, its step allowed and room for it made; nothing has changed. */
  | { readonly do: "measure"; readonly example: Kept }
  /** The step of the example measured last; it cannot fail. */
  | { readonly do: "step"; readonly example: Kept; readonly isNew: boolean }
  /** The losses of examples, under the weights of now or others; Infinity where one is not finite. */
  | { readonly do: "losses"; readonly examples: readonly Kept[]; readonly weights: readonly AdapterState[] | null };

/** The answer to "measure". */
export interface Measured {
  /** In nats; null where only a gradient is known. */
  readonly loss: number | null;
  /** Norm of the gradient with respect to the parameters. */
  readonly gradientNorm: number;
}

/** One update, paused at each question. */
export type Cycle<Kept, Result = LearnResult> = Generator<Ask<Kept>, Result, unknown>;

/** The codes of refusals that come from numbers float32 cannot hold. */
const RUNAWAY: readonly string[] = ["update-overflow", "not-finite", "out-of-range"];

/**
 * How feedback becomes updates, and what lies around each: replay, a limit of each delta, a guard, task boundaries, copies to go back to.
 * It computes no loss and takes no step itself: it asks. So one algorithm serves a driver that answers at once (`Learner`) and one that
 * waits for a model (`ModelLearner`). All that may be refused is asked before the first step, so that a refusal changes nothing.
 */
export class UpdateCycle<Kept> {
  /** What holds examples back; null without a guard. */
  readonly guard: Guard<Kept> | null;
  readonly #lora: MicroLora;
  readonly #config: SafeguardsConfig;
  readonly #kind: ExampleKind<Kept>;
  readonly #history: History;
  readonly #replay: Replay<Kept> | null;
  readonly #boundary: Boundary | null;
  #boundaryState: readonly number[];
  #boundaries = 0;
  #limited = 0;

  /** @throws MicroLoraError `invalid-config`, `out-of-range` */
  constructor(lora: MicroLora, config: SafeguardsConfig, boundary: Boundary | null, kind: ExampleKind<Kept>) {
    if (boundary !== null && boundary.kind !== "boundary") {
      refuseConfig("boundary", boundary, "Pass one that was made, such as adwin()");
    }
    this.#lora = lora;
    this.#config = config;
    this.#kind = kind;
    this.#history = new History(lora, config.undo);
    this.#replay = config.replay && new Replay(config.replay, config.seed, kind);
    this.guard = config.guard && new Guard(config.guard, kind);
    this.#boundary = boundary;
    this.#boundaryState = boundary?.start() ?? [];
  }

  /** Learns from one example, or holds it back. */
  *learn(example: Kept): Cycle<Kept> {
    const reusable = this.#kind.isReusable(example);
    if (reusable && this.guard?.holdsNext === true) return yield* this.#hold(example);
    const { measured, wentBack } = yield* this.#measure(example);
    const next = this.#foresee(measured.loss);
    const rolledBack = yield* this.#update(example);
    if (reusable) this.guard?.passed();
    const { loss, gradientNorm } = measured;
    const boundary = this.#observe(next);
    return { applied: true, reason: null, loss, gradientNorm, boundary, rolledBack: rolledBack || wentBack };
  }

  /** Learns from an example of which nothing is kept but the step: an explored score, whose baseline moves on. */
  *step(example: Kept): Cycle<Kept> {
    const { measured, wentBack } = yield* this.#measure(example);
    const rolledBack = yield* this.#update(example);
    const { loss, gradientNorm } = measured;
    return { applied: true, reason: null, loss, gradientNorm, boundary: false, rolledBack: rolledBack || wentBack };
  }

  /** Several examples as one update, or none of them. @param steps takes the steps @throws what `steps` does */
  together(steps: () => void): void {
    const before = this.weights();
    this.#lora.together(steps);
    this.#history.updated(before);
    this.#limit();
  }

  /** Ends a task by hand. @throws MicroLoraError `update-overflow`, `memory-full`; nothing has changed then */
  consolidate(): void {
    this.#lora.consolidate();
    this.#history.consolidated();
    this.#accept();
  }

  /** A copy of the adapters as they are. */
  readonly weights = (): readonly AdapterState[] => this.#history.weights();

  /** Goes back to a snapshot of the adapters. @throws MicroLoraError `corrupt-checkpoint`, `memory-full`; nothing has changed then */
  rollback(snapshot: readonly AdapterState[]): void {
    this.#history.rollback(snapshot);
    this.#accept();
  }

  /** Takes the last n updates back; returns how many. @throws MicroLoraError `out-of-range`, `memory-full`; nothing has changed then */
  undo(n: number): number {
    const taken = this.#history.undo(n);
    if (taken > 0) this.#accept();
    return taken;
  }

  /** The methods in use whose code was handed in. */
  get methods(): readonly Method[] {
    return [...this.#history.methods, ...(this.#boundary === null ? [] : [this.#boundary])];
  }

  /** What was kept and decided so far. */
  report() {
    return {
      boundaries: this.#boundaries,
      limited: this.#limited,
      undoable: this.#history.count,
      replay: this.#replay && { count: this.#replay.count, bytes: this.#replay.bytes },
      guard: this.guard?.report() ?? null,
    };
  }

  /** Everything that a restart must bring back; the copies for `undo` are not part of it. */
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

  /** Holds an example back, and learns from the one that leaves. */
  *#hold(example: Kept): Cycle<Kept> {
    const guard = this.guard!;
    const [loss] = (yield { do: "losses", examples: [example], weights: null }) as [number];
    if (!Number.isFinite(loss)) {
      throw refusal("not-finite", "loss", `is ${loss}`, "Scale inputs and candidates down, or lower the learning rate");
    }
    const { leaving } = guard;
    const measured = leaving === undefined ? null : yield* this.#tolerated(this.#ask(leaving));
    const next = this.#foresee(loss);
    const held = leaving === undefined || measured === null ? null : leaving;
    guard.hold(example);
    const rolledBack = held !== null && (yield* this.#update(held));
    return { ...NOTHING, reason: "held-back", loss, boundary: this.#observe(next), rolledBack };
  }

  /**
   * The loss and the gradient of an example, its step allowed. Where the weights of now cannot be evaluated at it, but those that the
   * guard accepted can, they have run away: the guard takes them back, and the example is measured there.
   */
  *#measure(example: Kept): Cycle<Kept, { readonly measured: Measured; readonly wentBack: boolean }> {
    try {
      return { measured: yield* this.#ask(example), wentBack: false };
    } catch (error) {
      const accepted = this.guard?.accepted ?? null;
      if (accepted === null || !isRunaway(error)) throw error;
      const now = this.weights();
      this.#lora.restoreAdapters(accepted);
      try {
        const measured = yield* this.#ask(example);
        this.#history.rejected();
        this.guard!.left();
        return { measured, wentBack: true };
      } catch {
        this.#lora.restoreAdapters(now);
        throw error;
      }
    }
  }

  /** Measures an example, and makes room for all that goes with its update. @throws MicroLoraError; nothing has changed then */
  *#ask(example: Kept): Cycle<Kept, Measured> {
    if (this.#replay !== null || this.guard !== null) this.#lora.reserveSteps();
    for (const state of this.guard?.accepted ?? []) this.#lora.adapterOf(state.module).reserveState(state);
    return (yield { do: "measure", example }) as Measured;
  }

  /** The update of the example measured last: nothing in it can be refused. Whether the guard took it back. */
  *#update(example: Kept): Cycle<Kept, boolean> {
    const { guard } = this;
    const before = this.#config.undo > 0 || guard?.accepted === null ? this.weights() : null;
    yield { do: "step", example, isNew: true };
    if (before !== null) guard?.start(before);
    this.#history.updated(before);
    const reusable = this.#kind.isReusable(example);
    for (let k = reusable ? (this.#replay?.config.perUpdate ?? 0) : 0; k > 0; k--) {
      const earlier = this.#replay!.draw();
      if (earlier === undefined) continue;
      const measured = yield* this.#tolerated(this.#ask(earlier));
      if (measured !== null) yield { do: "step", example: earlier, isNew: false };
    }
    if (reusable) this.#replay?.offer(example);
    this.#limit();
    const check = guard?.updated() ?? null;
    return check !== null && (yield* this.#judge(check));
  }

  *#judge(check: Check<Kept>): Cycle<Kept, boolean> {
    const losses = (yield { do: "losses", examples: check.held, weights: null }) as number[];
    const unknown = (yield { do: "losses", examples: check.unknown, weights: check.accepted }) as number[];
    const back = this.guard!.judge(check, losses, unknown, this.weights);
    if (back === null) this.#history.accept();
    else this.#history.reject(back);
    return back !== null;
  }

  /** Runs a part of the cycle that may be refused as too large for float32, where there is nobody to tell: null then. */
  *#tolerated<Result>(part: Cycle<Kept, Result>): Cycle<Kept, Result | null> {
    try {
      return yield* part;
    } catch (error) {
      if (isRunaway(error)) return null;
      throw error;
    }
  }

  /** What a loss will do to the boundary detector, with room for the end of a task. @throws MicroLoraError `memory-full` */
  #foresee(loss: number | null): ReturnType<Boundary["step"]> | null {
    if (this.#boundary === null || loss === null) return null;
    const next = this.#boundary.step(this.#boundaryState, loss);
    if (next.changed) this.#lora.reserveConsolidation();
    return next;
  }

  /** Tells the boundary detector, and ends the task where it says so; whether it did. */
  #observe(next: ReturnType<Boundary["step"]> | null): boolean {
    if (next === null) return false;
    this.#boundaryState = next.state;
    if (!next.changed) return false;
    try {
      this.consolidate();
    } catch (error) {
      if (isRunaway(error)) return false;
      throw error;
    }
    this.#boundaries++;
    return true;
  }

  #limit(): void {
    const { maxDelta } = this.#config;
    if (maxDelta === null) return;
    for (const { module } of this.#lora.config.modules) {
      if (limitDelta(this.#lora.adapterOf(module), maxDelta)) this.#limited++;
    }
  }

  #accept(): void {
    this.guard?.accept(this.weights);
    this.#history.accept();
  }
}

/** Drives a cycle whose questions are answered at once. @throws what `answer` does, unless the cycle tolerates it */
export function drive<Kept, Result>(cycle: Cycle<Kept, Result>, answer: (ask: Ask<Kept>) => unknown): Result {
  let next = cycle.next();
  while (next.done !== true) {
    let given: unknown;
    try {
      given = answer(next.value);
    } catch (error) {
      next = cycle.throw(error);
      continue;
    }
    next = cycle.next(given);
  }
  return next.value;
}

/** Drives a cycle whose answers take time. */
export async function driveAsync<Kept, Result>(
  cycle: Cycle<Kept, Result>,
  answer: (ask: Ask<Kept>) => Promise<unknown>,
): Promise<Result> {
  let next = cycle.next();
  while (next.done !== true) {
    let given: unknown;
    try {
      given = await answer(next.value);
    } catch (error) {
      next = cycle.throw(error);
      continue;
    }
    next = cycle.next(given);
  }
  return next.value;
}

/** Whether something was refused because a number left float32. */
export function isRunaway(error: unknown): boolean {
  return error instanceof MicroLoraError && RUNAWAY.includes(error.code);
}
