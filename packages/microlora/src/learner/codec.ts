import { type MicroLoraState, readState, stateBlocks, stateHeader } from "../adapter/codec.js";
import { unsignedZero } from "../adapter/config.js";
import type { Method } from "../adapter/methods/method.js";
import { shown } from "../base/errors.js";
import { type Body, corrupt, readContainer, writeContainer } from "../checkpoint/container.js";
import { array, count, record } from "../checkpoint/fields.js";
import { checkGate, checkLearnerState, configHeader, type LearnerState } from "./codec-check.js";
import {
  type ExampleFormat,
  readAccepted,
  readSafeguards,
  safeguardsBlocks,
  safeguardsHeaders,
} from "./codec-safeguards.js";
import type { Example, KeptRequest } from "./example.js";
import type { Baseline } from "./exploration.js";
import type { Signal } from "./feedback/signal.js";
import type { PendingRequest } from "./pending-requests.js";
import type { GroupState } from "./statistics.js";

/** The canonical bytes of a state. */
export function encodeLearner(state: LearnerState): Uint8Array {
  const header = { kind: "learner", lora: stateHeader(state.lora), ...partsHeader(state) };
  return writeContainer(header, [...stateBlocks(state.lora), ...partsBlocks(state)]);
}

/** The numbers of a learner beside those of its MicroLora. */
export function partsBlocks(state: LearnerState): Float32Array[] {
  const { requests } = state.pending;
  const kept = requests.flatMap(({ x, base, noise }) => (noise === null ? [x, base] : [x, base, noise]));
  const [accepted, examples] = safeguardsBlocks(state, state.lora, examplesOf(state.lora));
  return [...accepted, ...kept, ...examples];
}

/** The checked state that bytes hold. @throws MicroLoraError */
export function decodeLearner(bytes: Uint8Array, methods?: readonly Method[]): LearnerState {
  const { header, body } = readContainer(bytes, "learner");
  const fields = record(header, "header");
  const lora = readState(fields.lora, body, methods);
  const state = readParts(fields, record(fields.lora, "lora"), lora, body, methods);
  checkLearnerState(state, methods);
  body.end({ kind: "learner", lora: stateHeader(lora, body.version), ...partsHeader(state) });
  return state;
}

/** What a file says of a learner beside its numbers and its MicroLora. */
export function partsHeader(state: LearnerState): object {
  const { pending, lora } = state;
  const [counters, kept] = safeguardsHeaders(state, lora, examplesOf(lora));
  return {
    config: configHeader(state.config),
    ...counters,
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
    ...kept,
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
  const own = { module, ...(gate !== 1 && { gate }), kind, items: items.length, weight: unsignedZero(weight) };
  if (kind === "choice") return { ...own, chosen: signal.chosen };
  if (kind === "rating") return { ...own, rating: unsignedZero(signal.rating) };
  return kind === "liking" ? { ...own, liking: unsignedZero(signal.liking) } : own;
}

type Fields = Readonly<Record<string, unknown>>;

/** Takes a learner from a header that is not trusted yet; `checkLearnerState` is still to come. @param header of its MicroLora, `lora` what was read of it */
export function readParts(
  fields: Fields,
  header: Fields,
  lora: MicroLoraState,
  body: Body,
  methods: readonly Method[] | undefined,
): LearnerState {
  const accepted = readAccepted(fields, header, body, methods);
  const pending = record(fields.pending, "pending");
  const requests = array(pending.requests, "pending.requests").map((request, i) =>
    readPending(record(request, `pending.requests[${i}]`), lora, body),
  );
  const safeguards = readSafeguards(fields, accepted, body, examplesOf(lora));
  const { explorations, baseline, reference, modules, sessions } = fields;
  return {
    config: record(fields.config, "config"),
    lora,
    ...safeguards,
    explorations,
    baseline,
    reference,
    modules,
    sessions,
    pending: { now: pending.now, requests },
  } as unknown as LearnerState;
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

/** Examples of the modules of a MicroLora. */
function examplesOf(lora: MicroLoraState): ExampleFormat<Example> {
  return {
    header: exampleHeader,
    blocks: ({ x, base, signal }) => [x, base, ...signal.items],
    read: (fields, where, body) => readExample(fields, where, lora, body),
  };
}

function readExample(fields: Fields, where: string, lora: MicroLoraState, body: Body): Example {
  const kept = readKept(fields, lora, body);
  const length = count(fields.items, `${where}.items`);
  const items = Array.from({ length: Math.min(length, 2 ** 20) }, () => body.take(kept.base.length, "items"));
  const { kind, weight, chosen, rating, liking } = fields;
  const own = { choice: { chosen }, rating: { rating }, liking: { liking } }[String(kind)];
  return { ...kept, signal: { kind, items, weight, ...own } as unknown as Signal };
}
