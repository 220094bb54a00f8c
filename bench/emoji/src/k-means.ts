import type { Random } from "./random.js";

export interface Clusters {
  /** Means of the clusters [k][dimensions], not of unit length. */
  readonly centres: readonly Float32Array[];
  /** Cluster of each vector. */
  readonly assignment: readonly number[];
}

/** Lloyd's k-means from a k-means++ start (Arthur and Vassilvitskii 2007). @param k at most the number of vectors */
export function kMeans(vectors: readonly Float32Array[], k: number, random: Random, rounds = 25): Clusters {
  let centres = start(vectors, k, random);
  let assignment: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const next = vectors.map((vector) => nearest(vector, centres));
    if (next.every((cluster, i) => cluster === assignment[i])) break;
    assignment = next;
    centres = means(vectors, assignment, centres);
  }
  return { centres, assignment };
}

function start(vectors: readonly Float32Array[], k: number, random: Random): Float32Array[] {
  const centres = [vectors[random.integer(vectors.length)]!];
  const distances = vectors.map(() => Number.POSITIVE_INFINITY);
  while (centres.length < k) {
    const newest = centres.at(-1)!;
    let sum = 0;
    for (const [i, vector] of vectors.entries()) {
      distances[i] = Math.min(distances[i]!, squaredDistance(vector, newest));
      sum += distances[i]!;
    }
    centres.push(vectors[drawByWeight(distances, random.next() * sum)]!);
  }
  return centres;
}

/** The index at which the running sum of the weights passes `target`. */
function drawByWeight(weights: readonly number[], target: number): number {
  let sum = 0;
  for (const [i, weight] of weights.entries()) {
    sum += weight;
    if (sum > target) return i;
  }
  return weights.length - 1;
}

function nearest(vector: Float32Array, centres: readonly Float32Array[]): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const [cluster, centre] of centres.entries()) {
    const distance = squaredDistance(vector, centre);
    if (distance < least) {
      least = distance;
      best = cluster;
    }
  }
  return best;
}

/** The mean of each cluster; an empty one keeps its old centre. */
function means(
  vectors: readonly Float32Array[],
  assignment: readonly number[],
  old: readonly Float32Array[],
): Float32Array[] {
  return old.map((centre, cluster) => {
    const sum = new Float64Array(centre.length);
    let count = 0;
    for (const [i, vector] of vectors.entries()) {
      if (assignment[i] !== cluster) continue;
      count++;
      for (let d = 0; d < sum.length; d++) sum[d]! += vector[d]!;
    }
    return count === 0 ? centre : Float32Array.from(sum, (value) => value / count);
  });
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! - b[i]!;
    sum += difference * difference;
  }
  return sum;
}
