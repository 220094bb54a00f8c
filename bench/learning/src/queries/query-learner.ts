import type { DocumentId, EmbeddingIndex, MicroLora, SearchHit } from "microlora";
import { endTask } from "../holding.js";
import type { Knobs } from "../knobs.js";
import { type SettingName, settingOf } from "../settings.js";
import { createPersonalizer } from "./personalizer.js";
import { createReplaying } from "./replaying.js";

/** What a problem gives every learner on it, whatever the setting. */
export interface QueryBasis {
  readonly dimensions: number;
  readonly temperature: number;
  /** What the slow weights' A starts from, one row a rank. */
  readonly directions: readonly Float32Array[];
  /** scaling = alpha / rank. */
  readonly scaling: number;
  /** Bytes for kept clicks. */
  readonly recallBytes: number;
  /** Results that a user sees at most. */
  readonly shown: number;
  /** The unit vector of a document. */
  readonly vectorOf: (id: DocumentId) => Float32Array;
}

/** One click, documents by their ids. */
export interface QueryClick {
  readonly query: Float32Array;
  readonly chosen: DocumentId;
  readonly shown: readonly DocumentId[];
  readonly index: EmbeddingIndex;
}

/** What learns from clicks: a `Personalizer`, or slow weights alone with more around them. */
export interface QueryLearner extends Disposable {
  readonly slow: MicroLora | null;
  transform(query: Float32Array): Float32Array;
  search(query: Float32Array, index: EmbeddingIndex, k: number): SearchHit[];
  learn(click: QueryClick): void;
  toBytes(): Uint8Array;
}

/** A learner that has learned nothing yet. */
export function createQueryLearner(
  name: SettingName,
  basis: QueryBasis,
  knobs: Knobs,
  seed: number,
): Promise<QueryLearner> {
  const create = settingOf(name).replay === true ? createReplaying : createPersonalizer;
  return create(name, basis, knobs, seed);
}

/** Ends a task for the slow weights, if there are any. */
export function endSession(name: SettingName, { slow }: QueryLearner): void {
  if (slow !== null) endTask(name, slow);
}
