import { checkRange } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import { randomUint32 } from "../base/random.js";
import { type Exclusive, type Feedback, readSignal, type Signal } from "../learner/feedback/signal.js";
import { EmbeddingIndex } from "./embedding-index.js";
import { distinct, type Item, idOf, keyOf, vectorOfItem } from "./items.js";
import type { DocumentId, VectorIndex } from "./vector-index.js";

/** The query of now, or the id of one that was kept. */
type OfRequest =
  | {
      /** Embedding of the query [dimensions]. */ readonly query: Float32Array | readonly number[];
      readonly request?: never;
    }
  | { /** Id that `keep` or `explore` was given. */ readonly request: string; readonly query?: never };

/** One item was rated with stars. */
export interface StarsFeedback<Item> {
  /** From 0.5 to 5. */
  readonly stars: number;
  /** The item that was rated. */
  readonly item: Item;
}

/**
 * Feedback of one kind for one query; documents by id, which `index` finds, by embedding, or by both.
 *
 * - `{ query, chosen, shown }`: one of what was shown was chosen; null for none. With an `EmbeddingIndex`, `shown` may be left out: 19
 *   documents are drawn from it instead.
 * - `{ query, rating, item }` with a rating in [-1, 1], or `{ query, stars, item }`.
 * - `{ query, gradient }`: dLoss/dy at the transformed query.
 * - `{ request, quality }`: how good the answer to an explored query was.
 */
export type PersonalFeedback<Id extends DocumentId = DocumentId> = OfRequest &
  (
    | (Feedback<Item<Id>> & { readonly stars?: never })
    | Exclusive<StarsFeedback<Item<Id>>, Extract<Feedback<Item<Id>>, object>>
  ) & {
    /** The index that ids are looked up in. */
    readonly index?: VectorIndex<Id>;
    /** A score of your own for each item of `shown`, such as its popularity; as those that `rank` was given. */
    readonly scores?: readonly number[];
  };

/** Feedback as it is learned from. */
export interface PersonalSignal<Id extends DocumentId> {
  readonly signal: Signal;
  /** What the items of the signal are. */
  readonly items: readonly Item<Id>[];
  /** Id of the item that was chosen, if one was and has one. */
  readonly chosen: Id | null;
  /** The caller's scores of the items, standardised. */
  readonly scores: Float64Array | null;
  /** A rating, in [-1.25, 1]. */
  readonly rating: number | null;
}

/** The parts of feedback that are no matter of its kind. */
const BESIDES = ["query", "request", "index", "scores", "stars"];

/** Documents that stand for what was shown, where a caller does not know it. */
const DRAWN = 19;

/** Random stream of the draws. */
const STREAM = 0xd0c5_0001;

/** Stars of 1 to 5 are ratings of -1 to 1. */
const MIDDLE_STARS = 3;

/**
 * Checks feedback, and looks its documents up.
 * @param draw number of this feedback, from which the draws of documents follow
 * @throws MicroLoraError `nothing-to-learn-from`, `mixed-feedback` unless it names one query, `unknown-document`, `invalid-config`, and as
 * `readSignal`
 */
export function readFeedback<Id extends DocumentId>(
  feedback: PersonalFeedback<Id>,
  dimensions: number,
  draw: number,
): PersonalSignal<Id> {
  if (typeof feedback !== "object" || feedback === null) {
    const remedy = "Pass { query, chosen, shown, index }, or another kind of feedback";
    throw refusal("nothing-to-learn-from", "feedback", `is ${shown(feedback)}`, remedy);
  }
  const { query, request, index, stars } = feedback;
  if ((query === undefined) === (request === undefined)) {
    throw refusal("mixed-feedback", "feedback", "needs `query` or `request`", "Pass one of the two");
  }
  const vectorOf = (item: unknown, where: string) => vectorOfItem(item as Item<Id>, index, dimensions, where);
  const read = (given: object) => readSignal(given as Feedback<unknown>, dimensions, { besides: BESIDES, vectorOf });
  if (stars !== undefined) return readStars(stars, feedback as { item: Item<Id> }, vectorOf);
  if (feedback.chosen !== undefined) return readChoice(feedback as Choice<Id>, read, draw);
  if (feedback.scores !== undefined) {
    throw refusal("mixed-feedback", "feedback.scores", "go with `shown` alone", "Leave them out");
  }
  const signal = read(feedback);
  if (signal.kind !== "rating") return { signal, items: [], chosen: null, scores: null, rating: null };
  return { signal, items: [feedback.item as Item<Id>], chosen: null, scores: null, rating: signal.rating };
}

/** A choice as a caller gives it, its kind still to be checked. */
interface Choice<Id extends DocumentId> {
  readonly chosen: Item<Id> | null;
  readonly shown?: readonly Item<Id>[];
  readonly rejected?: readonly Item<Id>[];
  readonly scores?: readonly number[];
  readonly index?: VectorIndex<Id>;
}

function readChoice<Id extends DocumentId>(
  feedback: Choice<Id>,
  read: (given: object) => Signal,
  draw: number,
): PersonalSignal<Id> {
  const { chosen, rejected, scores, index } = feedback;
  const id = chosen === null ? null : idOf(chosen);
  const shownItems = feedback.shown ?? (rejected === undefined ? drawn(chosen, index, draw) : undefined);
  if (!Array.isArray(shownItems) && scores !== undefined) {
    throw refusal("mixed-feedback", "feedback.scores", "go with `shown` alone", "Pass `shown`");
  }
  if (!Array.isArray(shownItems)) {
    const items = chosen === null ? (rejected ?? []) : [chosen, ...(Array.isArray(rejected) ? rejected : [])];
    return { signal: read(feedback), items, chosen: id, scores: null, rating: null };
  }
  const told = distinct<Id>(shownItems, scores);
  const signal = read({ ...feedback, shown: told.items });
  return { signal, items: told.items, chosen: id, scores: told.scores, rating: null };
}

/** Documents of the index, the chosen one among them. @throws MicroLoraError `nothing-to-learn-from` */
function drawn<Id extends DocumentId>(
  chosen: Item<Id> | null,
  index: VectorIndex<Id> | undefined,
  draw: number,
): readonly Item<Id>[] | undefined {
  if (!(index instanceof EmbeddingIndex) || chosen === null) {
    const remedy = "Pass what was shown, or, with something chosen, an EmbeddingIndex to draw from";
    throw refusal("nothing-to-learn-from", "feedback.shown", "is missing", remedy);
  }
  const others = new Map<unknown, Item<Id>>();
  const most = Math.min(DRAWN, index.size - (index.has(chosen as Id) ? 1 : 0));
  for (let k = 0; others.size < most && k < 4 * DRAWN; k++) {
    const id = index.idAt(randomUint32(draw, STREAM, k) % index.size) as Id;
    if (id !== keyOf(chosen)) others.set(id, id);
  }
  return [chosen, ...others.values()];
}

function readStars<Id extends DocumentId>(
  stars: number,
  feedback: { readonly item: Item<Id> } & object,
  vectorOf: (item: unknown, where: string) => Float32Array,
): PersonalSignal<Id> {
  for (const key of Object.keys(feedback)) {
    if (key === "item" || BESIDES.includes(key)) continue;
    throw refusal("mixed-feedback", `feedback.${key}`, "does not go with stars", "Pass one kind at a time");
  }
  checkRange(stars, 0.5, 5, "feedback.stars");
  const { item } = feedback;
  const rating = (stars - MIDDLE_STARS) / 2;
  const signal: Signal = {
    kind: "rating",
    items: [vectorOf(item, "feedback.item")],
    rating: Math.max(-1, rating),
    weight: 1,
  };
  return { signal, items: [item], chosen: null, scores: null, rating };
}
