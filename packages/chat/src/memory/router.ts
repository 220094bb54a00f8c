import type { Fact, FactMemory, Keys } from "./fact-memory.js";
import { isFirstPerson } from "./wording.js";

/** Features of a question before the model answers it. */
export interface Query {
  readonly text: string;
  /** Of unit length, by channel: how it is compared with questions, with answers, and by the model's state. */
  readonly keys: Keys;
}

/** How well the model itself takes a fact's answer for one to the question, against the question that it was told with. */
export interface Verification {
  /** Mean difference of log-probabilities a token, each from -4 to 1. */
  readonly mean: number;
  /** The worst difference of a token, at least -9. */
  readonly worst: number;
}

/** A fact that may answer a question, and its score before the model verifies it. */
export interface Candidate {
  readonly fact: Fact;
  readonly score: number;
}

/** Names of the keys of every fact. */
export const CHANNELS = { question: "question", answer: "answer", state: "state" } as const;

/**
 * Weights of a multinomial logistic regression that says which fact a question is about, or that it is about none (`nothing`). Fitted
 * with SmolLM2-135M to four made sets of 24 to 60 facts (bench/remember), and frozen. In half of the examples the fact that the question
 * asks for was not told, and its near twin was.
 */
const WEIGHTS = { question: 4.93, answer: 6.49, person: -1.63, state: 0.79, mean: 0.21, worst: 2.65, nothing: 3.65 };

/** Facts that are verified at most. */
const VERIFIED = 4;

/** Facts with a smaller probability do not count: an answer that no fact is likely for is the model's alone. */
const LEAST_SHARE = 0.3;

/** The facts that a question may be about, the likeliest first. */
export function candidatesFor(memory: FactMemory, query: Query): readonly Candidate[] {
  const [questions, answers, states] = Object.values(CHANNELS).map((channel) =>
    memory.cosines(channel, query.keys[channel]!),
  ) as [Float32Array, Float32Array, Float32Array];
  const isPersonal = isFirstPerson(query.text);
  const scored = memory.facts.map((fact, index) => {
    const differs = isFirstPerson(fact.question) !== isPersonal ? 1 : 0;
    const score =
      WEIGHTS.question * questions[index]! +
      WEIGHTS.answer * answers[index]! +
      WEIGHTS.state * states[index]! +
      WEIGHTS.person * differs;
    return { fact, score };
  });
  const best = WEIGHTS.mean + WEIGHTS.worst / 4; // Of a verification that could not be better.
  const likely = scored.filter(({ score }) => sigmoid(score + best - WEIGHTS.nothing) > LEAST_SHARE);
  return likely.sort((a, b) => b.score - a.score).slice(0, VERIFIED);
}

/** Differences of log-probabilities, put together. @param now under the question @param told when it was told */
export function verificationOf(now: ArrayLike<number>, told: ArrayLike<number>): Verification {
  let [sum, worst] = [0, 1];
  for (let i = 0; i < now.length; i++) {
    const difference = now[i]! - told[i]!;
    sum += Math.min(1, Math.max(-4, difference));
    worst = Math.min(worst, difference);
  }
  return { mean: sum / now.length, worst: Math.max(-9, worst) };
}

/** Verification of statements, which were not told as an answer to a question. */
export const UNVERIFIED: Verification = { mean: -0.3, worst: -2 };

/** The probability of each candidate that the question asks for it, 0 below 0.3; the rest belongs to the model. */
export function sharesOf(candidates: readonly Candidate[], verifications: readonly Verification[]): readonly number[] {
  const scores = candidates.map(({ score }, i) => {
    const { mean, worst } = verifications[i]!;
    return score + WEIGHTS.mean * mean + (WEIGHTS.worst * worst) / 4;
  });
  const largest = Math.max(WEIGHTS.nothing, ...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const total = powers.reduce((sum, power) => sum + power, Math.exp(WEIGHTS.nothing - largest));
  return powers.map((power) => power / total).map((share) => (share < LEAST_SHARE ? 0 : share));
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
