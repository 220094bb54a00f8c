import { checkFinite, checkFloats, checkRange } from "../base/check.js";
import { MicroLoraError } from "../base/errors.js";

/** dLoss/dOutput, where the caller has it. */
export interface GradientSignal {
  /** [outFeatures] */
  readonly gradient: Float32Array;
  /** Factor of the step in [-1, 1], 1 by default. */
  readonly reward?: number;
  /** The loss itself, if it is known: what a boundary detector watches. */
  readonly loss?: number;
}

/** One of several candidates was chosen. */
export interface ChoiceSignal {
  /** Its vector [outFeatures]. */
  readonly chosen: Float32Array;
  /** Everything that was shown, the chosen one among it; or, instead, what was passed over. */
  readonly shown?: readonly Float32Array[];
  readonly rejected?: readonly Float32Array[];
  /** Weight of the choice in [-1, 1], 1 by default. */
  readonly reward?: number;
}

/** One item was rated. */
export interface RatingSignal {
  /** Thumbs up 1, down -1, and what lies between; 0 teaches nothing. */
  readonly rating: number;
  /** Its vector [outFeatures]. */
  readonly item: Float32Array;
}

/** How good the answer was, in [0, 1] or any other finite unit, for a request that was explored. */
export interface QualitySignal {
  readonly quality: number;
}

/** One kind of a union, without the keys of the others. */
export type Exclusive<Signal, Others> = Signal & { readonly [K in Exclude<AllKeys<Others>, keyof Signal>]?: never };
type AllKeys<Union> = Union extends unknown ? keyof Union : never;
type Any = GradientSignal | ChoiceSignal | RatingSignal | QualitySignal;

/** Feedback of exactly one kind; keys of two kinds neither compile nor run. */
export type AnyFeedback =
  | Exclusive<GradientSignal, Any>
  | Exclusive<ChoiceSignal, Any>
  | Exclusive<RatingSignal, Any>
  | Exclusive<QualitySignal, Any>;

/** Feedback as it is learned from and kept, checked: vectors, and what they mean. */
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
  | { readonly kind: "rating"; readonly items: readonly [Float32Array]; readonly rating: number; readonly weight: 1 }
  | { readonly kind: "quality"; readonly items: readonly []; readonly quality: number; readonly weight: 1 };

type Fields = Readonly<Partial<Record<AllKeys<Any>, unknown>>>;

/** Which keys go with the key that makes the kind. */
const KINDS: Readonly<
  Record<
    "gradient" | "chosen" | "rating" | "quality",
    { readonly keys: readonly string[]; readonly read: (fields: Fields, width: number) => Signal }
  >
> = {
  gradient: { keys: ["reward", "loss"], read: readGradient },
  chosen: { keys: ["shown", "rejected", "reward"], read: readChoice },
  rating: { keys: ["item"], read: readRating },
  quality: { keys: [], read: readQuality },
};

const KIND_NAMES = Object.keys(KINDS) as (keyof typeof KINDS)[];

/**
 * Checks feedback and tells its kind.
 * @param width outFeatures of the module
 * @throws MicroLoraError `nothing-to-learn-from`, `mixed-feedback`, `not-shown`, `shape-mismatch`, `not-finite`, `out-of-range`
 */
export function readSignal(feedback: AnyFeedback, width: number): Signal {
  const fields = (feedback ?? {}) as Fields;
  const kind = KIND_NAMES.find((key) => fields[key] !== undefined);
  if (kind === undefined) {
    const remedy = "Pass a gradient, what was chosen, a rating or a quality";
    throw new MicroLoraError("nothing-to-learn-from", "feedback", "is of no kind", remedy);
  }
  const { keys } = KINDS[kind];
  for (const key in fields) {
    if (key === kind || keys.includes(key) || fields[key as keyof Fields] === undefined) continue;
    const remedy = "Pass one kind at a time";
    throw new MicroLoraError("mixed-feedback", `feedback.${key}`, `does not go with ${kind}`, remedy);
  }
  return KINDS[kind].read(feedback as Fields, width);
}

function readGradient({ gradient, reward, loss = null }: Fields, width: number): Signal {
  if (loss !== null) checkFinite(loss as number, "feedback.loss");
  const items = [vector(gradient, width, "feedback.gradient")] as const;
  return { kind: "gradient", items, weight: readReward(reward), loss: loss as number | null };
}

function readChoice({ chosen, shown, rejected, reward }: Fields, width: number): Signal {
  if ((shown === undefined) === (rejected === undefined)) {
    throw new MicroLoraError("mixed-feedback", "feedback", "needs `shown` or `rejected`", "Pass one of the two");
  }
  const others = (shown ?? rejected) as readonly unknown[];
  const where = shown === undefined ? "rejected" : "shown";
  if (!Array.isArray(others) || others.length === 0) {
    throw new MicroLoraError(
      "nothing-to-learn-from",
      `feedback.${where}`,
      "is empty",
      "Pass what there was to choose from",
    );
  }
  const vectors = others.map((item, j) => (fits(item, width) ? item : vector(item, width, `feedback.${where}[${j}]`)));
  const one = vector(chosen, width, "feedback.chosen");
  const weight = readReward(reward);
  if (shown === undefined) return { kind: "choice", items: [one, ...vectors], chosen: 0, weight };
  const at = vectors.findIndex((item) => item === one || item.every((value, i) => value === one[i]));
  if (at !== -1) return { kind: "choice", items: vectors, chosen: at, weight };
  const remedy = "Pass everything that was shown, the chosen one too";
  throw new MicroLoraError("not-shown", "feedback.chosen", "is not among `shown`", remedy);
}

function readRating({ rating, item }: Fields, width: number): Signal {
  checkRange(rating as number, -1, 1, "feedback.rating");
  return { kind: "rating", items: [vector(item, width, "feedback.item")], rating: rating as number, weight: 1 };
}

function readQuality({ quality }: Fields): Signal {
  checkRange(quality as number, -1e6, 1e6, "feedback.quality");
  return { kind: "quality", items: [], quality: quality as number, weight: 1 };
}

function readReward(reward: unknown): number {
  if (reward !== undefined) checkRange(reward as number, -1, 1, "feedback.reward");
  return (reward as number | undefined) ?? 1;
}

/** So that what an error would say is made only for one. */
function fits(value: unknown, width: number): value is Float32Array {
  return value instanceof Float32Array && value.length === width;
}

/** Whether it is finite shows in its square sum, where it is used. */
function vector(value: unknown, width: number, where: string): Float32Array {
  checkFloats(value as Float32Array, width, where);
  return value as Float32Array;
}

/** What a person would call the reward of a signal, for statistics: its rating or quality, else its weight. */
export function rewardOf(signal: Signal): number {
  if (signal.kind === "rating") return signal.rating;
  return signal.kind === "quality" ? signal.quality : signal.weight;
}
