/** The groups that everything here was tuned on; the others were looked at once, after it was fixed. */
export const TUNING_GROUPS = ["Smileys & Emotion", "Animals & Nature", "Food & Drink", "Travel & Places"] as const;

/** How one learner learns, in the terms of `Personalizer`. */
export interface LearnerSettings {
  readonly temperature: number;
  readonly slow: SlowSettings | null;
  readonly recall: RecallSettings | null;
}

export interface SlowSettings {
  /** What A starts from: k-means centres of the queries' embeddings, or zeros, which leave only the bias to learn. */
  readonly directions: "centres" | "zeros";
  readonly rank: number;
  /** Root mean square of |x A| over the queries at the start. */
  readonly reach: number;
  /** scaling = alpha / rank. */
  readonly scaling: number;
  readonly bias: boolean;
  readonly learningRate: number;
}

export interface RecallSettings {
  readonly clicks: number;
  readonly sharpness: number;
  readonly strength: number;
  readonly nullSimilarity: number;
  readonly learningRate: number;
}

export const TASK = {
  topics: 4,
  minimumQueries: 10,
  /** Results that the user sees. */
  shown: 50,
  unrelated: 600,
} as const;

const TEMPERATURE = 0.2;

/** A softer loss than that of the slow weights alone: its gradient weighs all that was shown, which costs least elsewhere. */
const RECALL_TEMPERATURE = 0.5;

const recall: RecallSettings = {
  clicks: 128,
  sharpness: 14,
  strength: 0.27,
  nullSimilarity: 0.2,
  learningRate: 0.1,
};

const lora: SlowSettings = {
  directions: "centres",
  rank: 8,
  reach: 1,
  scaling: 2.2,
  bias: false,
  learningRate: 0.0045,
};

/**
 * Each row of the table. The baselines are tuned for their MRR on unseen queries; recall and "all" for the most of it at
 * a cost on unrelated keywords of about 1 % on users of the tuning groups, which leaves room for users of other groups.
 */
export const LEARNERS = {
  offset: {
    temperature: 0.1,
    slow: { directions: "zeros", rank: 1, reach: 0, scaling: 1, bias: true, learningRate: 0.009 },
    recall: null,
  },
  lora: { temperature: TEMPERATURE, slow: lora, recall: null },
  loraBias: { temperature: TEMPERATURE, slow: { ...lora, bias: true }, recall: null },
  recall: { temperature: RECALL_TEMPERATURE, slow: null, recall },
  all: { temperature: RECALL_TEMPERATURE, slow: { ...lora, bias: true, learningRate: 0.0015 }, recall },
} as const satisfies Record<string, LearnerSettings>;

export type LearnerName = keyof typeof LEARNERS;

/**
 * Four preferences one after the other: the slow weights alone, for EWC acts on nothing else. The rates and `ewcLambda`
 * are those with the highest final MRR with EWC, lambda out of 30, 100, 300, 1000; without it, only lambda differs.
 */
export const SESSIONS = {
  /** Users whose mean is told. */
  users: 6,
  /** Times that a user searches each query in a session. */
  searches: 8,
  learner: {
    temperature: TEMPERATURE,
    slow: { directions: "centres", rank: 32, reach: 0.3, scaling: 3.3, bias: true, learningRate: 0.03 },
    recall: null,
  } satisfies LearnerSettings,
  ewcLambda: 300,
  fisherDecay: 0.95,
} as const;
