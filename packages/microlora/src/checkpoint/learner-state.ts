import { unsignedZero } from "../adapter/config.js";
import type { Method } from "../adapter/methods.js";
import { shown } from "../base/errors.js";
import type { Example, KeptRequest } from "../learn/example.js";
import type { Baseline } from "../learn/exploration.js";
import type { ResolvedLearner } from "../learn/learner-config.js";
import type { PendingRequest } from "../learn/pending-requests.js";
import { type AnyFeedback, readSignal, type Signal } from "../learn/signal.js";
import type { GroupState } from "../learn/statistics.js";
import { type Body, corrupt, readContainer, writeContainer } from "./container.js";
import { array, checkStored, count, record } from "./fields.js";
import { checkGate, checkLearnerState, configHeader, type LearnerState } from "./learner-check.js";
import { type MicroLoraState, readState, stateBlocks, stateHeader } from "./state.js";

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
