import { checkState, type MicroLoraState, readState, stateBlocks, stateHeader } from "../adapter/codec.js";
import { unsignedZero } from "../adapter/config.js";
import type { AdapterState } from "../adapter/lora-adapter.js";
import type { Method } from "../adapter/methods/method.js";
import { shown } from "../base/errors.js";
import { type Body, corrupt } from "../checkpoint/container.js";
import { array, count, finite, record } from "../checkpoint/fields.js";
import type { SafeguardsConfig } from "./config.js";
import type { GuardState } from "./guard.js";
import type { ReplayState } from "./replay.js";

/** What lies around the updates of a learner; what `undo` remembers is not saved. */
export interface SafeguardsState<Kept> {
  /** What the boundary detector remembers. */
  readonly boundaryState: readonly number[];
  /** Tasks that ended by the boundary detector. */
  readonly boundaries: number;
  /** Updates after which a delta had to be shrunk. */
  readonly limited: number;
  /** The examples kept; null without replay. */
  readonly replay: ReplayState<Kept> | null;
  /** The guard's state; null without one. */
  readonly guard: GuardState<Kept> | null;
}

/** How one kind of example is written. */
export interface ExampleFormat<Kept> {
  /** What is said of it beside its numbers. */
  header(example: Kept): object;
  /** The numbers of an example, in the order in which they are read. */
  blocks(example: Kept): readonly Float32Array[];
  /** From a header that is not trusted yet. @throws MicroLoraError */
  read(fields: Readonly<Record<string, unknown>>, where: string, body: Body): Kept;
}

/** The settings in the one order in which they are written. */
export function safeguardsSettings({ replay, boundary, guard, maxDelta, undo, seed }: SafeguardsConfig): object {
  return {
    replay: replay && { bytes: replay.bytes, perUpdate: replay.perUpdate },
    boundary: boundary && { name: boundary.name, settings: boundary.settings },
    guard: guard && { hold: guard.hold, share: guard.share, every: guard.every, strictness: guard.strictness },
    maxDelta,
    undo,
    seed,
  };
}

/** What is written of them beside their numbers: two parts, between which a `Learner` has its own. */
export function safeguardsHeaders<Kept>(
  { boundaryState, boundaries, limited, replay, guard }: SafeguardsState<Kept>,
  lora: MicroLoraState,
  { header }: ExampleFormat<Kept>,
): readonly [counters: object, kept: object] {
  const adapters = guard?.accepted ?? null;
  return [
    { boundaryState: boundaryState.map(unsignedZero), boundaries, limited },
    {
      replay: replay && { seen: replay.seen, draws: replay.draws, examples: replay.examples.map(header) },
      guard: guard && {
        offered: guard.offered,
        updates: guard.updates,
        promoted: guard.promoted,
        rejected: guard.rejected,
        held: guard.held.map(header),
        accepted: adapters && (stateHeader({ ...lora, adapters }) as { adapters: object }).adapters,
      },
    },
  ];
}

/** The numbers of the weights that the guard accepted last, and those of the examples. */
export function safeguardsBlocks<Kept>(
  { replay, guard }: SafeguardsState<Kept>,
  lora: MicroLoraState,
  { blocks }: ExampleFormat<Kept>,
): readonly [accepted: readonly Float32Array[], examples: readonly Float32Array[]] {
  const accepted = guard?.accepted ? stateBlocks({ ...lora, adapters: guard.accepted }) : [];
  return [accepted, [...(replay?.examples ?? []), ...(guard?.held ?? [])].flatMap(blocks)];
}

type Fields = Readonly<Record<string, unknown>>;

/** The weights that the guard accepted last, whose numbers come first. @param header of the MicroLora */
export function readAccepted(
  fields: Fields,
  header: Fields,
  body: Body,
  methods: readonly Method[] | undefined,
): readonly AdapterState[] | null {
  const guard = fields.guard === null ? null : record(fields.guard, "guard");
  return guard?.accepted ? readState({ ...header, adapters: guard.accepted }, body, methods).adapters : null;
}

/** The rest, which is still to be checked. */
export function readSafeguards<Kept>(
  { boundaryState, boundaries, limited, ...fields }: Fields,
  accepted: readonly AdapterState[] | null,
  body: Body,
  format: ExampleFormat<Kept>,
): SafeguardsState<Kept> {
  const examplesOf = (value: unknown, where: string) =>
    array(value, where).map((entry, i) => format.read(record(entry, `${where}[${i}]`), `${where}[${i}]`, body));
  const replay = fields.replay === null ? null : record(fields.replay, "replay");
  const guard = fields.guard === null ? null : record(fields.guard, "guard");
  const examples = replay && examplesOf(replay.examples, "replay.examples");
  const held = guard && examplesOf(guard.held, "guard.held");
  const kept = { replay: replay && { ...replay, examples }, guard: guard && { ...guard, held, accepted } };
  return { boundaryState, boundaries, limited, ...kept } as unknown as SafeguardsState<Kept>;
}

/** Refuses what no learner of these settings could have come to; its examples are their kind's to check. @throws MicroLoraError */
export function checkSafeguards(
  state: SafeguardsState<unknown>,
  config: SafeguardsConfig,
  lora: MicroLoraState,
  methods: readonly Method[] | undefined,
): void {
  const { replay, guard } = state;
  for (const part of [replay, guard]) if (part !== null) record(part, "state");
  for (const counter of ["boundaries", "limited"] as const) count(state[counter], counter);
  for (const [i, value] of array(state.boundaryState, "boundaryState").entries()) finite(value, `boundaryState[${i}]`);
  for (const part of ["replay", "guard"] as const) {
    if ((config[part] === null) !== (state[part] === null))
      corrupt(part, "has a configuration or a state, but not both");
  }
  if (replay !== null) {
    for (const key of ["seen", "draws"] as const) count(replay[key], `replay.${key}`);
    array(replay.examples, "replay.examples");
  }
  if (guard === null) return;
  for (const key of ["offered", "updates", "promoted", "rejected"] as const) count(guard[key], `guard.${key}`);
  array(guard.held, "guard.held");
  const adapters: unknown = guard.accepted;
  if (adapters === null) return;
  if (!Array.isArray(adapters)) corrupt("guard.accepted", `are ${shown(adapters)}`);
  checkState({ ...lora, adapters: adapters as readonly AdapterState[] }, methods);
}
