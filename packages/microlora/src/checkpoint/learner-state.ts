import type { AdapterState } from "../adapter/lora-adapter.js";
import type { Method } from "../adapter/methods.js";
import { checkRange } from "../base/check.js";
import { shown } from "../base/errors.js";
import type { Example, KeptRequest } from "../learn/example.js";
import type { Baseline } from "../learn/exploration.js";
import type { GuardState } from "../learn/guard.js";
import { checkLearner, type LearnerConfig, type ResolvedLearner, resolveLearner } from "../learn/learner-config.js";
import type { PendingRequest } from "../learn/pending-requests.js";
import type { ReplayState } from "../learn/replay.js";
import { type AnyFeedback, readSignal, type Signal } from "../learn/signal.js";
import type { GroupState } from "../learn/statistics.js";
import { type Body, corrupt, readContainer, writeContainer } from "./container.js";
import { array, checkStored, count, record } from "./fields.js";
import { checkState, type MicroLoraState, readState, stateBlocks, stateHeader } from "./state.js";

/** Everything that a `Learner` is. */
export interface LearnerState {
  readonly config: ResolvedLearner;
  readonly lora: MicroLoraState;
  readonly boundaryState: readonly number[];
  readonly boundaries: number;
  readonly limited: number;
  readonly explorations: number;
  readonly baseline: Baseline;
  readonly reference: Baseline;
  readonly pending: { readonly now: number; readonly requests: readonly PendingRequest[] };
  readonly replay: ReplayState | null;
  readonly guard: GuardState | null;
  readonly modules: readonly GroupState[];
  readonly sessions: readonly GroupState[];
}

/** All of it but the MicroLora. */
export type LearnerParts = Omit<LearnerState, "lora">;

/** The canonical bytes of a state. */
export function encodeLearner(state: LearnerState): Uint8Array {
  const header = { kind: "learner", lora: stateHeader(state.lora), ...partsHeader(state) };
  return writeContainer(header, [...stateBlocks(state.lora), ...partsBlocks(state)]);
}

/** The numbers of a learner beside those of its MicroLora. */
export function partsBlocks({ pending, replay, guard, lora }: LearnerState): Float32Array[] {
  const kept = pending.requests.flatMap(({ x, base, noise }) => (noise === null ? [x, base] : [x, base, noise]));
  const examples = [...(replay?.examples ?? []), ...(guard?.held ?? [])];
  const accepted = guard?.accepted ? stateBlocks({ ...lora, adapters: guard.accepted }) : [];
  const vectors = examples.flatMap(({ x, base, signal }) => [x, base, ...signal.items]);
  return [...accepted, ...kept, ...vectors];
}

/** The checked state that bytes hold. @throws MicroLoraError */
export function decodeLearner(bytes: Uint8Array, methods?: readonly Method[]): LearnerState {
  const { header, body } = readContainer(bytes, "learner");
  const fields = record(header, "header");
  const lora = readState(fields.lora, body, methods);
  const state = readParts(fields, record(fields.lora, "lora"), lora, body, methods);
  body.end({ kind: "learner", lora: stateHeader(lora, body.version), ...partsHeader(state) });
  return state;
}

/** What a file says of a learner beside its numbers and its MicroLora. */
export function partsHeader(state: LearnerState): object {
  const { config, pending, replay, guard } = state;
  const adapters = guard?.accepted ?? null;
  return {
    config: configHeader(config),
    boundaryState: state.boundaryState.map(unsignedZero),
    boundaries: state.boundaries,
    limited: state.limited,
    explorations: state.explorations,
    baseline: baselineHeader(state.baseline),
    reference: baselineHeader(state.reference),
    pending: {
      now: pending.now,
      requests: pending.requests.map(({ id, at, session, latencyMicroseconds, module, gate, noise }) => ({
        id,
        at,
        session,
        latencyMicroseconds,
        module,
        ...(gate !== 1 && { gate }),
        noise: noise !== null,
      })),
    },
    replay: replay && { seen: replay.seen, draws: replay.draws, examples: replay.examples.map(exampleHeader) },
    guard: guard && {
      offered: guard.offered,
      updates: guard.updates,
      promoted: guard.promoted,
      rejected: guard.rejected,
      held: guard.held.map(exampleHeader),
      accepted: adapters && (stateHeader({ ...state.lora, adapters }) as { adapters: object }).adapters,
    },
    modules: state.modules.map(groupHeader),
    sessions: state.sessions.map(groupHeader),
  };
}

function configHeader(config: ResolvedLearner): object {
  const { score, temperature, margin, exploration, pending, replay, boundary, guard, maxDelta, undo, seed } = config;
  return {
    score,
    temperature,
    margin,
    exploration,
    pending: { count: pending.count, bytes: pending.bytes, age: pending.age },
    replay: replay && { bytes: replay.bytes, perUpdate: replay.perUpdate },
    boundary: boundary && { name: boundary.name, settings: boundary.settings },
    guard: guard && { hold: guard.hold, share: guard.share, every: guard.every, strictness: guard.strictness },
    maxDelta,
    undo,
    seed,
  };
}

function baselineHeader({ count: scores, mean, variance }: Baseline): Baseline {
  return { count: scores, mean: unsignedZero(mean), variance };
}

function groupHeader({ name, count: requests, rewardSum, latencies }: GroupState): GroupState {
  return { name, count: requests, rewardSum: unsignedZero(rewardSum), latencies };
}

function exampleHeader({ module, gate, signal }: Example): object {
  const { kind, items, weight } = signal;
  const own =
    signal.kind === "choice"
      ? { chosen: signal.chosen }
      : signal.kind === "rating"
        ? { rating: unsignedZero(signal.rating) }
        : {};
  return { module, ...(gate !== 1 && { gate }), kind, items: items.length, weight: unsignedZero(weight), ...own };
}

/** The number itself, but 0 for -0, which JSON does not tell apart. */
function unsignedZero(value: number): number {
  return value === 0 ? 0 : value;
}

type Fields = Readonly<Record<string, unknown>>;

/** Takes a learner from a header that is not trusted yet. @param header of its MicroLora, `lora` what was read of it */
export function readParts(
  fields: Fields,
  header: Fields,
  lora: MicroLoraState,
  body: Body,
  methods: readonly Method[] | undefined,
): LearnerState {
  const config = record(fields.config, "config") as unknown as ResolvedLearner;
  const guard = fields.guard === null ? null : record(fields.guard, "guard");
  const accepted = guard?.accepted ? readState({ ...header, adapters: guard.accepted }, body, methods).adapters : null;
  const pending = record(fields.pending, "pending");
  const requests = array(pending.requests, "pending.requests").map((request, i) =>
    readPending(record(request, `pending.requests[${i}]`), lora, body),
  );
  const replay = fields.replay === null ? null : record(fields.replay, "replay");
  const examples = replay && readExamples(replay.examples, "replay.examples", lora, body);
  const held = guard && readExamples(guard.held, "guard.held", lora, body);
  const { boundaryState, boundaries, limited, explorations, baseline, reference, modules, sessions } = fields;
  const state = {
    config,
    lora,
    boundaryState,
    boundaries,
    limited,
    explorations,
    baseline,
    reference,
    modules,
    sessions,
    pending: { now: pending.now, requests },
    replay: replay && { ...replay, examples },
    guard: guard && { ...guard, held, accepted },
  } as unknown as LearnerState;
  checkLearnerState(state, methods);
  return state;
}

function readPending(fields: Fields, lora: MicroLoraState, body: Body): PendingRequest {
  const { id, at, session, latencyMicroseconds } = fields as unknown as PendingRequest;
  const kept = readKept(fields, lora, body);
  const noise = fields.noise === true ? body.take(kept.base.length, "noise") : null;
  return { id, at, session, latencyMicroseconds, ...kept, noise };
}

function readKept({ module, gate = 1 }: Fields, lora: MicroLoraState, body: Body): KeptRequest {
  const dimensions = lora.config.modules.find((known) => known.module === module);
  if (dimensions === undefined) corrupt("module", `${shown(module)} has no adapter`);
  const x = body.take(dimensions.inFeatures, "x");
  const base = body.take(dimensions.outFeatures, "base");
  checkGate(gate);
  return { module: dimensions.module, x, base, gate: gate as number };
}

function readExamples(value: unknown, where: string, lora: MicroLoraState, body: Body): readonly Example[] {
  return array(value, where).map((entry, i) => {
    const fields = record(entry, `${where}[${i}]`);
    const kept = readKept(fields, lora, body);
    const length = count(fields.items, `${where}[${i}].items`);
    const items = Array.from({ length: Math.min(length, 2 ** 20) }, () => body.take(kept.base.length, "items"));
    const chosen = items[fields.chosen as number];
    const feedback =
      fields.kind === "rating"
        ? { rating: fields.rating, item: items[0] }
        : { chosen, shown: items, reward: fields.weight };
    let signal: Signal | undefined;
    checkStored(() => {
      signal = readSignal(feedback as AnyFeedback, kept.base.length);
    });
    return { ...kept, signal: signal! };
  });
}

/** Refuses a state, of a file or of a caller, that no `Learner` could be in. @throws MicroLoraError */
export function checkLearnerState(state: LearnerState, methods?: readonly Method[]): LearnerState {
  const fields = record(state, "state");
  const { config } = state;
  for (const part of ["config", "baseline", "reference", "pending"]) record(fields[part], part);
  record(config.pending, "config.pending");
  for (const part of [config.replay, config.guard, config.boundary, state.replay, state.guard]) {
    if (part !== null) record(part, "config");
  }
  if (config.boundary !== null) record(config.boundary.settings, "config.boundary.settings");
  checkStored(() => checkLearner(config));
  const complete = JSON.stringify(configHeader(resolveLearner(config as LearnerConfig)));
  if (JSON.stringify(configHeader(config)) !== complete) corrupt("config", "is not complete");
  checkState(state.lora, methods);
  for (const counter of ["boundaries", "limited", "explorations"] as const) count(state[counter], counter);
  for (const [i, value] of array(state.boundaryState, "boundaryState").entries()) finite(value, `boundaryState[${i}]`);
  for (const name of ["baseline", "reference"] as const) {
    count(state[name].count, `${name}.count`);
    finite(state[name].mean, `${name}.mean`);
    if (!(finite(state[name].variance, `${name}.variance`) >= 0)) corrupt(`${name}.variance`, "is negative");
  }
  checkPending(state);
  checkParts(state, methods);
  for (const groups of ["modules", "sessions"] as const) checkGroups(state[groups], groups);
  return state;
}

function checkPending({ pending, lora }: LearnerState): void {
  const now = finite(pending.now, "pending.now");
  let last = Number.NEGATIVE_INFINITY;
  const ids = new Set<unknown>();
  for (const request of array(pending.requests, "pending.requests") as readonly PendingRequest[]) {
    record(request, "pending.requests");
    const { id, at, session, latencyMicroseconds, noise } = request;
    if (latencyMicroseconds !== null && !(finite(latencyMicroseconds, "pending.latencyMicroseconds") >= 0)) {
      corrupt("pending.latencyMicroseconds", "is negative");
    }
    if (typeof id !== "string" || ids.has(id)) corrupt("pending.requests", `${shown(id)} is no id of its own`);
    if (session !== null && typeof session !== "string") corrupt("pending.session", `is ${shown(session)}`);
    if (finite(at, "pending.at") < last || at > now) corrupt("pending.at", "is out of order");
    checkGate(request.gate);
    checkVectors([request.x, request.base, ...(noise === null ? [] : [noise])], request.module, lora);
    ids.add(id);
    last = at;
  }
}

function checkParts({ config, replay, guard, lora }: LearnerState, methods: readonly Method[] | undefined): void {
  if ((config.replay === null) !== (replay === null))
    corrupt("replay", "has a configuration or examples, but not both");
  if ((config.guard === null) !== (guard === null)) corrupt("guard", "has a configuration or a state, but not both");
  if (replay !== null) {
    count(replay.seen, "replay.seen");
    count(replay.draws, "replay.draws");
  }
  if (guard !== null) {
    for (const key of ["offered", "updates", "promoted", "rejected"] as const) count(guard[key], `guard.${key}`);
    const adapters = guard.accepted as readonly AdapterState[] | null;
    if (adapters !== null) checkState({ ...lora, adapters }, methods);
  }
  for (const { x, base, gate, signal, module } of [...(replay?.examples ?? []), ...(guard?.held ?? [])]) {
    checkGate(gate);
    checkVectors([x, base, ...signal.items], module, lora);
  }
}

function checkGate(gate: unknown): void {
  checkStored(() => checkRange(gate as number, 0, 1, "gate"));
}

function checkVectors([x, ...outputs]: readonly Float32Array[], module: string, { config }: MicroLoraState): void {
  const dimensions = config.modules.find((known) => known.module === module);
  if (dimensions === undefined) corrupt("module", `${shown(module)} has no adapter`);
  for (const [vector, width] of [
    [x, dimensions.inFeatures],
    ...outputs.map((y) => [y, dimensions.outFeatures]),
  ] as const) {
    const good = vector instanceof Float32Array && vector.length === width && vector.every(Number.isFinite);
    if (!good) corrupt("example", `has a vector that is not ${String(width)} finite float32 values`);
  }
}

function checkGroups(groups: readonly GroupState[], where: string): void {
  for (const group of array(groups, where) as readonly GroupState[]) {
    record(group, where);
    if (typeof group.name !== "string") corrupt(where, `has the name ${shown(group.name)}`);
    count(group.count, `${where}.count`);
    finite(group.rewardSum, `${where}.rewardSum`);
    for (const pair of array(group.latencies, `${where}.latencies`)) {
      const [bucket, requests, ...rest] = array(pair, `${where}.latencies`);
      count(bucket, `${where}.latencies`);
      count(requests, `${where}.latencies`);
      if (rest.length > 0) corrupt(`${where}.latencies`, "are no pairs");
    }
  }
}

function finite(value: unknown, where: string): number {
  return typeof value === "number" && Number.isFinite(value) ? value : corrupt(where, `is ${shown(value)}`);
}
