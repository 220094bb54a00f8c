import { Personalizer } from "microlora";
import type { EmbeddedCorpus } from "./corpus.js";
import type { LearnerSettings, SlowSettings } from "./hyperparameters.js";
import { kMeans } from "./k-means.js";
import { createRandom } from "./random.js";

const DIRECTIONS_SEED = 1;
const DIRECTIONS_ROUNDS = 10;

export interface LearnerOptions {
  readonly seed: number;
  /** 0 leaves forgetting to itself. */
  readonly ewcLambda?: number;
  readonly fisherDecay?: number;
}

/** A personalizer that has learned nothing yet, A of its slow weights along the settings' directions. */
export async function createLearner(
  corpus: EmbeddedCorpus,
  { temperature, slow, recall }: LearnerSettings,
  { seed, ewcLambda = 0, fisherDecay = 0.95 }: LearnerOptions,
): Promise<Personalizer> {
  const dimensions = corpus.documentVectors[0]?.length ?? 0;
  return Personalizer.create({
    dimensions,
    seed,
    temperature,
    slow: slow !== null && {
      directions: slow.directions === "zeros" ? [new Float32Array(dimensions)] : directionsOf(corpus, slow),
      alpha: slow.scaling * slow.rank,
      bias: slow.bias,
      learningRate: slow.learningRate,
      ewcLambda,
      fisherDecay,
      gated: false,
    },
    recall: recall !== null && {
      rows: recall.clicks,
      sharpness: recall.sharpness,
      strength: recall.strength,
      nullSimilarity: recall.nullSimilarity,
      learningRate: recall.learningRate,
      mergeSimilarity: null,
    },
  });
}

/** Centres, scaled so that the root mean square of |x A| is 1; they are the same for every user. */
const cache = new WeakMap<EmbeddedCorpus, Map<number, readonly Float32Array[]>>();

/**
 * What A starts from, a row per rank: the directions in which queries lie, so that x A says which kind of thing is
 * asked for, and each kind can learn an offset of its own. They know nothing of any user. (LoRA initialised from data:
 * EVA, Paischer et al. 2024.)
 * @param reach root mean square of |x A| over the keywords, which makes a learning rate mean the same at any rank
 */
function directionsOf(corpus: EmbeddedCorpus, { rank, reach }: SlowSettings): Float32Array[] {
  const known = cache.get(corpus) ?? new Map<number, readonly Float32Array[]>();
  cache.set(corpus, known);
  const directions = known.get(rank) ?? centreDirections(corpus.keywordVectors, rank);
  known.set(rank, directions);
  return directions.map((direction) => direction.map((value) => reach * value));
}

function centreDirections(queries: readonly Float32Array[], rank: number): Float32Array[] {
  const centres = kMeans(queries, rank, createRandom(DIRECTIONS_SEED), DIRECTIONS_ROUNDS).centres.map(toUnit);
  let squares = 0;
  for (const x of queries) for (const centre of centres) squares += dot(x, centre) ** 2;
  const scale = 1 / Math.sqrt(squares / queries.length);
  return centres.map((centre) => centre.map((value) => scale * value));
}

function toUnit(vector: Float32Array): Float32Array {
  const norm = Math.sqrt(dot(vector, vector)) || 1;
  return vector.map((value) => value / norm);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
