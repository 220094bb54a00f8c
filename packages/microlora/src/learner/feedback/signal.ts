import type { GradientFeedback } from "../../adapter/feedback.js";
import { checkFinite, checkFloats, checkRange } from "../../base/check.js";
import { refusal } from "../../base/errors.js";

/**
 * One of several candidates was chosen, or none.
 * @typeParam Item a vector [outFeatures], or what stands for one
 */
export interface ChoiceFeedback<Item = Float32Array> {
  /** What was chosen; null where all of what was shown was passed over, which teaches a tenth of what a choice does. */
  readonly chosen: Item | null;
  /** Everything that was shown, the chosen one among it; or, instead, `rejected`. */
  readonly shown?: readonly Item[];
  /** What was passed over, without the chosen one. */
  readonly rejected?: readonly Item[];
  /** Weight of the choice in [-1, 1]; 1 by default. */
  readonly reward?: number;
}

/** One item was rated. @typeParam Item a vector [outFeatures], or what stands for one */
export interface RatingFeedback<Item = Float32Array> {
  /** Thumbs up 1, down -1, and anything between; 0 teaches nothing. */
  readonly rating: number;
  /** The item that was rated. */
  readonly item: Item;
}

/** How good the answer was, for a request that was explored. */
export interface QualityFeedback {
  /** In [0, 1], or in any other finite unit. */
  readonly quality: number;
}

/** One kind of a union, without the keys of the others. */
export type Exclusive<Kind, Others> = Kind & { readonly [K in Exclude<AllKeys<Others>, keyof Kind>]?: never };
type AllKeys<Union> = Union extends unknown ? keyof Union : never;
type Kinds<Item> = GradientFeedback | ChoiceFeedback<Item> | RatingFeedback<Item> | QualityFeedback;

/** Feedback of exactly one kind; keys of two kinds neither compile nor run. */
export type Feedback<Item = Float32Array> =
  | Exclusive<GradientFeedback, Kinds<Item>>
  | Exclusive<ChoiceFeedback<Item>, Kinds<Item>>
  | Exclusive<RatingFeedback<Item>, Kinds<Item>>
  | Exclusive<QualityFeedback, Kinds<Item>>;

/** Checked feedback, as it is learned from and kept: vectors, and what they mean. */
export type Signal =
  | {
      readonly kind: "gradient";
      readonly items: readonly [Float32Array];
      readonly weight: number;
      readonly loss: number | null;
    }
  | {
      readonly kind: "choice";
      readonly items: readonly Float32Array[];
      readonly chosen: number;
      readonly weight: number;
    }
  | { readonly kind: "nothing"; readonly items: readonly Float32Array[]; readonly weight: number }
  | { readonly kind: "rating"; readonly items: readonly [Float32Array]; readonly rating: number; readonly weight: 1 }
  /** An item that is liked by this much more than others, or less. */
  | { readonly kind: "liking"; readonly items: readonly [Float32Array]; readonly liking: number; readonly weight: 1 }
  | { readonly kind: "quality"; readonly items: readonly []; readonly quality: number; readonly weight: 1 };

type Fields = Readonly<Partial<Record<AllKeys<Kinds<unknown>>, unknown>>>;

/** How the items of feedback become vectors. */
export interface Items {
  /** Keys beside those of the feedback itself. */
  readonly besides: readonly string[];
  /** The vector of an item. @param where its name, for an error @throws MicroLoraError */
  vectorOf(item: unknown, where: string): Float32Array;
}

type Reader = (fields: Fields, items: Items, width: number) => Signal;

/** The key that tells a kind, the keys that go with it, and its reader. */
const KINDS: Readonly<
  Record<"gradient" | "chosen" | "rating" | "quality", { readonly keys: readonly string[]; readonly read: Reader }>
> = {
  gradient: { keys: ["reward", "loss"], read: readGradient },
  chosen: { keys: ["shown", "rejected", "reward"], read: readChoice },
  rating: { keys: ["item"], read: readRating },
  quality: { keys: [], read: readQuality },
};

/** Weight of "nothing was chosen" beside that of a choice: it says less. */
const WEIGHT_OF_NOTHING = 0.1;

const KIND_NAMES = Object.keys(KINDS) as (keyof typeof KINDS)[];

/**
 * Checks feedback and tells its kind.
 * @param width outFeatures of the module
 * @param items how items become vectors; they are vectors by default
 * @throws MicroLoraError `nothing-to-learn-from`, `mixed-feedback`, `not-shown`, `shape-mismatch`, `not-finite`, `out-of-range`
 */
export function readSignal(feedback: Feedback<unknown>, width: number, items: Items = vectorsOf(width)): Signal {
  const fields = (feedback ?? {}) as Fields;
  const kind = KIND_NAMES.find((key) => fields[key] !== undefined);
  if (kind === undefined) {
    const remedy = "Pass a gradient, a chosen item, a rating or a quality";
    throw refusal("nothing-to-learn-from", "feedback", "is of no kind", remedy);
  }
  const { keys, read } = KINDS[kind];
  for (const key in fields) {
    if (key === kind || keys.includes(key) || items.besides.includes(key)) continue;
    if (fields[key as keyof Fields] === undefined) continue;
    throw refusal("mixed-feedback", `feedback.${key}`, `does not go with ${kind}`, "Pass one kind at a time");
  }
  return read(fields, items, width);
}

/** Items that are vectors already. Whether they are finite shows in their sums of squares, where they are used. */
function vectorsOf(width: number): Items {
  return {
    besides: [],
    vectorOf(item, where) {
      checkFloats(item as Float32Array, width, where);
      return item as Float32Array;
    },
  };
}

function readGradient({ gradient, reward, loss = null }: Fields, _: Items, width: number): Signal {
  if (loss !== null) checkFinite(loss as number, "feedback.loss");
  checkFloats(gradient as Float32Array, width, "feedback.gradient");
  const weight = readReward(reward);
  return { kind: "gradient", items: [gradient as Float32Array], weight, loss: loss as number | null };
}

function readChoice({ chosen, shown, rejected, reward }: Fields, items: Items): Signal {
  if ((shown === undefined) === (rejected === undefined)) {
    throw refusal("mixed-feedback", "feedback", "needs `shown` or `rejected`", "Pass one of the two");
  }
  const others = (shown ?? rejected) as readonly unknown[];
  const where = shown === undefined ? "feedback.rejected" : "feedback.shown";
  if (!Array.isArray(others) || others.length === 0) {
    throw refusal("nothing-to-learn-from", where, "is empty", "Pass what there was to choose from");
  }
  const vectors: Float32Array[] = [];
  for (const item of others) vectors.push(items.vectorOf(item, where));
  const weight = readReward(reward);
  if (chosen === null) return { kind: "nothing", items: vectors, weight: weight * WEIGHT_OF_NOTHING };
  const one = items.vectorOf(chosen, "feedback.chosen");
  if (shown === undefined) return { kind: "choice", items: [one, ...vectors], chosen: 0, weight };
  const at = placeOf(one, vectors);
  if (at !== -1) return { kind: "choice", items: vectors, chosen: at, weight };
  const remedy = "Pass everything that was shown, the chosen one too";
  throw refusal("not-shown", "feedback.chosen", "is not among `shown`", remedy);
}

/** The place of a vector in a list: of the same object, or else of equal numbers; -1 if it is not there. */
function placeOf(one: Float32Array, vectors: readonly Float32Array[]): number {
  const same = vectors.indexOf(one);
  return same === -1 ? vectors.findIndex((vector) => vector.every((value, i) => value === one[i])) : same;
}

function readRating({ rating, item }: Fields, items: Items): Signal {
  checkRange(rating as number, -1, 1, "feedback.rating");
  return { kind: "rating", items: [items.vectorOf(item, "feedback.item")], rating: rating as number, weight: 1 };
}

function readQuality({ quality }: Fields): Signal {
  checkRange(quality as number, -1e6, 1e6, "feedback.quality");
  return { kind: "quality", items: [], quality: quality as number, weight: 1 };
}

function readReward(reward: unknown): number {
  if (reward !== undefined) checkRange(reward as number, -1, 1, "feedback.reward");
  return (reward as number | undefined) ?? 1;
}

/** The reward of a signal for statistics: its rating, quality or liking, 0 where nothing was chosen, else its weight. */
export function rewardOf(signal: Signal): number {
  switch (signal.kind) {
    case "rating":
      return signal.rating;
    case "quality":
      return signal.quality;
    case "liking":
      return signal.liking;
    case "nothing":
      return 0;
    default:
      return signal.weight;
  }
}
