import type { Method } from "../adapter/methods.js";
import { MicroLoraError, shown } from "../base/errors.js";
import { norm } from "../base/unit.js";
import { checkPersonalizer, type ResolvedPersonalizer, SLOW_MODULE } from "../learn/personalizer-config.js";
import type { RecallConfig, RecallState } from "../learn/recall.js";
import { type Body, corrupt, readContainer, VERSION, writeContainer } from "./container.js";
import { checkStored, count, record } from "./fields.js";
import { checkLearnerState, type LearnerParts, type LearnerState } from "./learner-check.js";
import { partsBlocks, partsHeader, readParts } from "./learner-state.js";
import { checkState, type MicroLoraState, readState, stateBlocks, stateHeader } from "./state.js";

/** Everything that a `Personalizer` is. */
export interface PersonalizerState {
  readonly config: ResolvedPersonalizer;
  readonly enabled: boolean;
  /** Clicks learned from. */
  readonly clicks: number;
  readonly recall: RecallState | null;
  readonly slow: MicroLoraState | null;
  /** What goes with the slow weights' updates; null without them, and in a file of version 1. */
  readonly learner: LearnerParts | null;
}

/** The canonical bytes of a state. */
export function encodePersonalizer(state: PersonalizerState): Uint8Array {
  const { recall, slow, learner } = state;
  const kept = recall === null ? [] : [recall.keys, recall.values];
  const weights = slow === null ? [] : stateBlocks(slow);
  const parts = slow === null || learner === null ? [] : partsBlocks({ ...learner, lora: slow });
  return writeContainer(headerOf(state), [...kept, ...weights, ...parts]);
}

function headerOf({ config, enabled, clicks, recall, slow, learner }: PersonalizerState, version = VERSION): object {
  return {
    kind: "personalizer",
    dimensions: config.dimensions,
    temperature: config.temperature,
    baseModel: config.baseModel,
    ...(config.gated && { gated: true }),
    enabled,
    clicks,
    recall: config.recall && recall && recallHeader(config.recall, recall, config.dimensions),
    slow: slow && stateHeader(slow, version),
    ...(version > 1 && { learner: slow && learner && partsHeader({ ...learner, lora: slow }) }),
  };
}

/** The checked state that bytes hold. @throws MicroLoraError */
export function decodePersonalizer(bytes: Uint8Array, methods?: readonly Method[]): PersonalizerState {
  const { header, body } = readContainer(bytes, "personalizer");
  const fields = record(header, "header");
  const recall = fields.recall === null ? null : record(fields.recall, "recall");
  if (recall !== null && "gateFrom" in recall) {
    throw new MicroLoraError(
      "unsupported-version",
      "recall",
      "routes by a gate, as before version 0.1.0",
      "Use the program that wrote it, or begin with fresh clicks",
    );
  }
  const config = readConfig(fields, recall);
  const kept = recall && readRecall(recall, config.dimensions, body);
  const slow = fields.slow === null ? null : readState(fields.slow, body, methods);
  const hasLearner = slow !== null && body.version > 1 && fields.learner !== null;
  const state: PersonalizerState = {
    config,
    enabled: fields.enabled as boolean,
    clicks: count(fields.clicks, "clicks"),
    recall: kept,
    slow,
    learner: hasLearner
      ? readParts(record(fields.learner, "learner"), record(fields.slow, "slow"), slow, body, methods)
      : null,
  };
  checkPersonalizerState(state, methods);
  body.end(headerOf(state, body.version));
  return state;
}

/** Refuses a state that no `Personalizer` could be in. @throws MicroLoraError */
export function checkPersonalizerState(state: PersonalizerState, methods?: readonly Method[]): void {
  const { config, enabled, clicks, recall, slow, learner } = record(state, "state") as unknown as PersonalizerState;
  if (record(config, "config").recall !== null) record(config.recall, "config.recall");
  if (recall !== null) record(recall, "recall");
  checkPersonalizer(config);
  if (typeof enabled !== "boolean") corrupt("enabled", `is ${shown(enabled)}`);
  count(clicks, "clicks");
  if ((config.recall === null) !== (recall === null)) corrupt("recall", "has a configuration or clicks, but not both");
  if (config.recall !== null && recall !== null) checkRecall(config.recall, recall, config.dimensions);
  if (slow === null) {
    if (learner !== null) corrupt("learner", "has no slow weights");
    return;
  }
  checkState(slow, methods);
  if (learner !== null)
    checkLearnerState({ ...record(learner, "learner"), lora: slow } as unknown as LearnerState, methods);
  const module = slow.config.modules[0];
  const fits = module?.inFeatures === config.dimensions && module.outFeatures === config.dimensions;
  if (slow.config.modules.length !== 1 || module?.module !== SLOW_MODULE || !fits) {
    corrupt("slow", `is not one module "${SLOW_MODULE}" of width ${config.dimensions}`);
  }
}

/** How far rounding may take the length of a kept vector from what it is meant to be. */
const TOLERANCE = 1e-3;

function recallHeader(config: RecallConfig, { next, keys }: RecallState, dimensions: number): object {
  const { bytes, sharpness, strength, nullSimilarity, learningRate, mergeSimilarity } = config;
  const size = keys.length / dimensions;
  const merging = mergeSimilarity !== null && { mergeSimilarity };
  return { bytes, sharpness, strength, nullSimilarity, learningRate, ...merging, next, size };
}

type Fields = Readonly<Record<string, unknown>>;

function readConfig(fields: Fields, recall: Fields | null): ResolvedPersonalizer {
  const { dimensions, temperature, baseModel, gated = false } = fields;
  const { bytes, sharpness, strength, nullSimilarity, learningRate, mergeSimilarity = null } = recall ?? {};
  const kept = recall && { bytes, sharpness, strength, nullSimilarity, learningRate, mergeSimilarity };
  const config = { dimensions, temperature, recall: kept, gated, baseModel } as ResolvedPersonalizer;
  checkStored(() => checkPersonalizer(config));
  return config;
}

function readRecall(fields: Fields, dimensions: number, body: Body): RecallState {
  const size = count(fields.size, "recall.size");
  const keys = body.take(size * dimensions, "recall.keys");
  return { next: count(fields.next, "recall.next"), keys, values: body.take(size * dimensions, "recall.values") };
}

function checkRecall(config: RecallConfig, { next, keys, values }: RecallState, dimensions: number): void {
  if (!(keys instanceof Float32Array && values instanceof Float32Array))
    corrupt("recall", "has no float32 keys and values");
  const capacity = Math.floor(config.bytes / (8 * dimensions));
  const size = keys.length / dimensions;
  const whole = Number.isInteger(size) && size <= capacity && values.length === keys.length;
  const placed = size < capacity ? next === size : next < Math.max(1, capacity);
  if (!whole || !placed) corrupt("recall", `holds ${size} clicks with the next at ${next}, of ${capacity} that fit`);
  for (let row = 0; row < size; row++) {
    const part = (rows: Float32Array) => norm(rows.subarray(row * dimensions, (row + 1) * dimensions));
    const [key, value] = [part(keys), part(values)];
    if (!(Math.abs(key - 1) <= TOLERANCE)) corrupt(`recall.keys[${row}]`, `is of length ${key}, not 1`);
    if (!(value <= config.strength * (1 + TOLERANCE))) {
      corrupt(`recall.values[${row}]`, `is of length ${value}, more than ${config.strength}`);
    }
  }
}
