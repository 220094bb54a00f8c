import { checkState, type MicroLoraState, readState, stateBlocks, stateHeader } from "../adapter/codec.js";
import { unsignedZero } from "../adapter/config.js";
import type { Method } from "../adapter/methods/method.js";
import { checkRange } from "../base/check.js";
import { shown } from "../base/errors.js";
import { type Body, corrupt, readContainer, VERSION, writeContainer } from "../checkpoint/container.js";
import { array, checkStored, count, finite, record } from "../checkpoint/fields.js";
import { partsBlocks, partsHeader, readParts } from "../learner/codec.js";
import { checkLearnerState, type LearnerParts, type LearnerState } from "../learner/codec-check.js";
import { type ChosenItemsState, LONGEST_ID, MOST_WEIGHT, NO_ITEMS, REMEMBERED } from "./chosen-items.js";
import { idHeader, readId } from "./id-codec.js";
import { checkPersonalizer, type ResolvedPersonalizer, SLOW_MODULE } from "./personalizer-config.js";
import type { RecallConfig, RecallState } from "./recall.js";
import {
  checkRecall,
  type OldRecall,
  oldRecallHeader,
  readOldRecall,
  readRecall,
  recallHeader,
} from "./recall-codec.js";

/** Everything that a `Personalizer` is. */
export interface PersonalizerState {
  /** The configuration with every default filled in. */
  readonly config: ResolvedPersonalizer;
  /** Whether it acts and learns. */
  readonly enabled: boolean;
  /** Feedbacks learned from. */
  readonly clicks: number;
  /** The queries kept; null without recall. */
  readonly recall: RecallState | null;
  /** null where they are off. */
  readonly items: ChosenItemsState | null;
  /** Weight of the caller's own scores, in [-1, 1]. */
  readonly scoreWeight: number;
  /** Sum and number of the ratings so far. */
  readonly ratings: { readonly sum: number; readonly count: number };
  /** The slow weights; null without them. */
  readonly slow: MicroLoraState | null;
  /** What goes with the slow weights' updates; null without them, and in a file of version 1. */
  readonly learner: LearnerParts | null;
}

/** The canonical bytes of a state. */
export function encodePersonalizer(state: PersonalizerState): Uint8Array {
  const { recall, slow, learner } = state;
  const kept = recall === null ? [] : [recall.scales, recall.keys, recall.values];
  const weights = slow === null ? [] : stateBlocks(slow);
  const parts = slow === null || learner === null ? [] : partsBlocks({ ...learner, lora: slow });
  return writeContainer(headerOf(state, VERSION, null), [...kept, ...weights, ...parts]);
}

/** @param old what a version before 4 says of recall */
function headerOf(state: PersonalizerState, version: number, old: OldRecall | null): object {
  const { config, enabled, clicks, recall, items, scoreWeight, ratings, slow, learner } = state;
  const kept = config.recall && recall && recallHeader(config.recall, recall);
  return {
    kind: "personalizer",
    dimensions: config.dimensions,
    temperature: config.temperature,
    baseModel: config.baseModel,
    ...(config.gated && { gated: true }),
    enabled,
    clicks,
    recall: old === null ? kept : oldRecallHeader(config.recall!, old),
    ...(version > 3 && {
      items: items && itemsHeader(items),
      scoreWeight: unsignedZero(scoreWeight),
      ratings: { sum: unsignedZero(ratings.sum), count: ratings.count },
    }),
    slow: slow && stateHeader(slow, version),
    ...(version > 1 && { learner: slow && learner && partsHeader({ ...learner, lora: slow }) }),
  };
}

function itemsHeader({ weight, counts }: ChosenItemsState): object {
  return { weight: unsignedZero(weight), counts: counts.map(([id, times]) => [idHeader(id), times]) };
}

/** The checked state that bytes hold. @throws MicroLoraError */
export function decodePersonalizer(bytes: Uint8Array, methods?: readonly Method[]): PersonalizerState {
  const { header, body } = readContainer(bytes, "personalizer");
  const fields = record(header, "header");
  const recall = fields.recall === null ? null : record(fields.recall, "recall");
  const isOld = body.version < 4;
  const { dimensions, temperature, gated = false, baseModel } = fields;
  const width = count(dimensions, "dimensions");
  const old = isOld && recall !== null ? readOldRecall(recall, width, body) : null;
  const kept = old ?? (recall && readRecall(recall, width, body));
  const items = isOld ? NO_ITEMS : readItems(fields.items);
  const slow = fields.slow === null ? null : readState(fields.slow, body, methods);
  const state = {
    config: { dimensions, temperature, recall: kept?.config ?? null, gated, items: items !== null, baseModel },
    enabled: fields.enabled,
    clicks: fields.clicks,
    recall: kept?.state ?? null,
    items,
    scoreWeight: isOld ? 0 : fields.scoreWeight,
    ratings: isOld ? { sum: 0, count: 0 } : fields.ratings,
    slow,
    learner: readLearner(fields, slow, body, methods),
  } as PersonalizerState;
  checkPersonalizerState(state, methods);
  body.end(headerOf(state, body.version, old));
  return state;
}

type Fields = Readonly<Record<string, unknown>>;

function readLearner(
  fields: Fields,
  slow: MicroLoraState | null,
  body: Body,
  methods: readonly Method[] | undefined,
): LearnerParts | null {
  if (slow === null || body.version === 1 || fields.learner === null) return null;
  return readParts(record(fields.learner, "learner"), record(fields.slow, "slow"), slow, body, methods);
}

function readItems(value: unknown): ChosenItemsState | null {
  if (value === null) return null;
  const { weight, counts } = record(value, "items");
  const pairs = array(counts, "items.counts").map((pair, i) => {
    const [id, times, ...rest] = array(pair, `items.counts[${i}]`);
    if (rest.length > 0) corrupt(`items.counts[${i}]`, "is no pair");
    return [readId(id, `items.counts[${i}]`), times as number] as const;
  });
  return { weight: weight as number, counts: pairs };
}

/** Refuses a state that no `Personalizer` could be in. @throws MicroLoraError */
export function checkPersonalizerState(state: PersonalizerState, methods?: readonly Method[]): void {
  const fields = record(state, "state") as unknown as PersonalizerState;
  const { config, enabled, clicks, recall, items, scoreWeight, ratings, slow, learner } = fields;
  if (record(config, "config").recall !== null) record(config.recall, "config.recall");
  if (recall !== null) record(recall, "recall");
  checkStored(() => checkPersonalizer(config));
  if (typeof enabled !== "boolean") corrupt("enabled", `is ${shown(enabled)}`);
  count(clicks, "clicks");
  if ((config.recall === null) !== (recall === null)) corrupt("recall", "has a configuration or queries, but not both");
  if (recall !== null) checkRecall(config.recall as RecallConfig, recall, config.dimensions);
  if (config.items !== (items !== null)) corrupt("items", "are remembered or switched on, but not both");
  if (items !== null) checkItems(record(items, "items") as unknown as ChosenItemsState);
  checkStored(() => checkRange(scoreWeight, -MOST_WEIGHT, MOST_WEIGHT, "scoreWeight"));
  checkRatings(record(ratings, "ratings") as unknown as PersonalizerState["ratings"]);
  if (slow === null) {
    if (learner !== null) corrupt("learner", "has no slow weights");
    return;
  }
  if (learner === null) checkState(slow, methods);
  else checkLearnerState({ ...record(learner, "learner"), lora: slow } as unknown as LearnerState, methods);
  const module = slow.config.modules[0];
  const fits = module?.inFeatures === config.dimensions && module.outFeatures === config.dimensions;
  if (slow.config.modules.length !== 1 || module?.module !== SLOW_MODULE || !fits) {
    corrupt("slow", `is not one module "${SLOW_MODULE}" of width ${config.dimensions}`);
  }
}

function checkItems({ weight, counts }: ChosenItemsState): void {
  checkStored(() => checkRange(weight, -MOST_WEIGHT, MOST_WEIGHT, "items.weight"));
  if (array(counts, "items.counts").length > REMEMBERED) corrupt("items.counts", `are ${counts.length}`);
  const ids = new Set<unknown>();
  for (const [id, times] of counts) {
    const good = typeof id === "string" ? id.length <= LONGEST_ID : typeof id === "bigint" || Number.isFinite(id);
    if (!good || ids.has(id)) corrupt("items.counts", `${shown(id)} is no id of its own`);
    if (count(times, "items.counts") === 0) corrupt("items.counts", "has an item that was never chosen");
    ids.add(id);
  }
}

function checkRatings(ratings: PersonalizerState["ratings"]): void {
  const number = count(ratings.count, "ratings.count");
  if (Math.abs(finite(ratings.sum, "ratings.sum")) > 1.25 * number + 1e-6) corrupt("ratings.sum", `is ${ratings.sum}`);
}
