import { checkState, type MicroLoraState } from "../adapter/codec.js";
import type { Method } from "../adapter/methods/method.js";
import { checkRange } from "../base/check.js";
import { shown } from "../base/errors.js";
import { corrupt } from "../checkpoint/container.js";
import { array, checkStored, count, finite, record } from "../checkpoint/fields.js";
import { checkSafeguards, type SafeguardsState, safeguardsSettings } from "./codec-safeguards.js";
import { checkLearner, type LearnerConfig, type ResolvedLearner, resolveLearner } from "./config.js";
import type { Example } from "./example.js";
import type { Baseline } from "./exploration.js";
import type { Signal } from "./feedback/signal.js";
import type { PendingRequest } from "./pending-requests.js";
import type { GroupState } from "./statistics.js";

/** Everything that a `Learner` is. */
export interface LearnerState extends SafeguardsState<Example> {
  readonly config: ResolvedLearner;
  readonly lora: MicroLoraState;
  readonly explorations: number;
  readonly baseline: Baseline;
  readonly reference: Baseline;
  readonly pending: { readonly now: number; readonly requests: readonly PendingRequest[] };
  readonly modules: readonly GroupState[];
  readonly sessions: readonly GroupState[];
}

/** All of it but the MicroLora. */
export type LearnerParts = Omit<LearnerState, "lora">;

/** The settings in the one order in which they are written. */
export function configHeader(config: ResolvedLearner): object {
  const { score, temperature, margin, exploration, pending } = config;
  return {
    score,
    temperature,
    margin,
    exploration,
    pending: { count: pending.count, bytes: pending.bytes, age: pending.age },
    ...safeguardsSettings(config),
  };
}

/** Refuses a state, of a file or of a caller, that no `Learner` could be in. @throws MicroLoraError */
export function checkLearnerState(state: LearnerState, methods?: readonly Method[]): LearnerState {
  const fields = record(state, "state");
  const { config } = state;
  for (const part of ["config", "baseline", "reference", "pending"]) record(fields[part], part);
  record(config.pending, "config.pending");
  for (const part of [config.replay, config.guard, config.boundary]) if (part !== null) record(part, "config");
  if (config.boundary !== null) record(config.boundary.settings, "config.boundary.settings");
  checkStored(() => checkLearner(config));
  const complete = JSON.stringify(configHeader(checkStored(() => resolveLearner(config as LearnerConfig))));
  if (JSON.stringify(configHeader(config)) !== complete) corrupt("config", "is not complete");
  checkState(state.lora, methods);
  count(state.explorations, "explorations");
  checkSafeguards(state, config, state.lora, methods);
  for (const name of ["baseline", "reference"] as const) {
    count(state[name].count, `${name}.count`);
    finite(state[name].mean, `${name}.mean`);
    if (!(finite(state[name].variance, `${name}.variance`) >= 0)) corrupt(`${name}.variance`, "is negative");
  }
  checkPending(state);
  checkExamples(state);
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

function checkExamples({ replay, guard, lora }: LearnerState): void {
  for (const { x, base, gate, signal, module } of [...(replay?.examples ?? []), ...(guard?.held ?? [])]) {
    checkGate(gate);
    checkVectors([x, base, ...signal.items], module, lora);
    checkSignal(signal);
  }
}

/** Refuses what was kept of feedback and could not have been. @throws MicroLoraError `corrupt-checkpoint` */
export function checkSignal(signal: Signal): void {
  const { kind, items, weight } = signal;
  const within = (value: number, most: number, where: string) =>
    checkStored(() => checkRange(value, -most, most, `signal.${where}`));
  within(weight, 1, "weight");
  if (items.length === 0) corrupt("signal.items", "are none");
  if (kind === "choice") {
    if (count(signal.chosen, "signal.chosen") >= items.length) corrupt("signal.chosen", `is ${signal.chosen}`);
    return;
  }
  if (kind === "nothing") return;
  if (items.length > 1) corrupt("signal.items", `are ${String(items.length)}, not one`);
  if (kind === "rating") within(signal.rating, 1, "rating");
  else if (kind === "liking") within(signal.liking, MOST_LIKING, "liking");
  else corrupt("signal.kind", `is ${shown(kind as unknown)}`);
}

/** Ratings lie in [-1.25, 1], and so does their mean. */
const MOST_LIKING = 2.5;

export function checkGate(gate: unknown): void {
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
