import { addCosineGradient, cosinesOf, lengthOf, softmaxSlopes } from "./gradient.js";
import { dot, dotAt, dotRow, type Matrix, row } from "./matrix.js";
import type { Ranker, Task } from "./ranker.js";

/** Settings of a baseline, by name. */
export type Numbers = Readonly<Record<string, number>>;

/** A simple way to rank for one person, with the settings that are tried for each problem. */
export interface Baseline {
  /** Makes a ranker of some settings for one person. */
  readonly make: (task: Task, numbers: Numbers) => Ranker;
  /** The settings that are tried. */
  readonly grid: readonly Numbers[];
  /** Whether it says something about ratings. */
  readonly rates: boolean;
  /** The widest vectors that it is tried on; every width by default. */
  readonly widest?: number;
}

/** A baseline in three steps; `score` and `learn` are of the query placed last. */
interface Steps {
  place(query: Float32Array): void;
  score(item: number): number;
  learn(shown: Int32Array, chosen: number, rating?: number): void;
}

/** Baselines learn nothing from queries where nothing was clicked. */
function inSteps({ place, score, learn }: Steps): Ranker {
  return {
    scores(query, items) {
      place(query);
      const scores = new Float64Array(items.length);
      for (let k = 0; k < items.length; k++) scores[k] = score(items[k]!);
      return scores;
    },
    learn(query, shown, chosen, rating) {
      if (chosen < 0) return;
      place(query);
      learn(shown, chosen, rating);
    },
    close() {},
  };
}

const TEMPERATURE = 0.1;

/** The base: cosines alone. */
export function createBase({ items }: Task): Ranker {
  const x = new Float64Array(items.cols);
  return inSteps({
    place: (query) => x.set(query),
    score: (item) => dotRow(items, item, x),
    learn() {},
  });
}

/** Cosine plus weight times the logarithm of the count (the mean where choices are ratings); the count alone at 100. */
const popularity: Baseline = {
  rates: true,
  grid: over("weight", [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 100]),
  make({ items, popularity: counts, rated }, { weight = 1 }) {
    const values = rated ? counts : counts.map((count) => Math.log1p(count));
    const x = new Float64Array(items.cols);
    return inSteps({
      place: (query) => x.set(query),
      score: (item) => dotRow(items, item, x) + weight * values[item]!,
      learn() {},
    });
  },
};

/** y = x + b, b by gradient steps of the same loss as that of a `Personalizer`. */
const offset: Baseline = {
  rates: true,
  grid: over("rate", [0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2]),
  make({ items, rated }, { rate = 0.1 }) {
    const n = items.cols;
    const b = new Float64Array(n);
    const y = new Float64Array(n);
    const gradient = new Float64Array(n);
    const mean = createMean();
    return inSteps({
      place(x) {
        for (let i = 0; i < n; i++) y[i] = x[i]! + b[i]!;
      },
      score: (item) => dotRow(items, item, y),
      learn(shown, chosen, rating) {
        const length = lengthOf(y);
        const seen = rated ? Int32Array.of(chosen) : shown;
        const cosines = cosinesOf(items, y, length, seen);
        const slopes = rated
          ? Float64Array.of(-mean.less(rating!) / TEMPERATURE)
          : softmaxSlopes(cosines, seen.indexOf(chosen), TEMPERATURE);
        gradient.fill(0);
        addCosineGradient({ items, y, length, shown: seen, cosines, slopes }, gradient);
        addScaled(b, -rate, gradient);
      },
    });
  },
};

/** y = x + weight (mean of what was chosen - mean of what was passed over); ratings weigh by their distance from the mean. */
const rocchio: Baseline = {
  rates: true,
  grid: over("weight", [0.1, 0.2, 0.3, 0.5, 1, 2, 4, 8]),
  make({ items, rated }, { weight = 1 }) {
    const n = items.cols;
    const sum = new Float64Array(n);
    const y = new Float64Array(n);
    const mean = createMean();
    let clicks = 0;
    return inSteps({
      place(x) {
        for (let i = 0; i < n; i++) y[i] = x[i]! + (weight * sum[i]!) / Math.max(clicks, 1);
      },
      score: (item) => dotRow(items, item, y),
      learn(shown, chosen, rating) {
        clicks++;
        if (rated) addScaled(sum, mean.less(rating!), row(items, chosen));
        else addChosenLessOthers(items, shown, chosen, sum);
      },
    });
  },
};

/** The similarity to the nearest of what was chosen before, plus weight times the cosine of the query. */
const nearestClicked: Baseline = {
  rates: false,
  grid: over("weight", [0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5]),
  make({ items }, { weight = 0.1 }) {
    const seen = new Set<number>();
    const chosen: { readonly item: number; readonly vector: Float64Array }[] = [];
    const nearest = new Float32Array(items.rows);
    // How many of what was chosen `nearest` knows; an item that nobody asks for costs nothing.
    const known = new Int32Array(items.rows);
    const x = new Float64Array(items.cols);
    const nearestOf = (item: number) => {
      for (let k = known[item]!; k < chosen.length; k++) {
        const similarity = chosen[k]!.item === item ? 1 : dotRow(items, item, chosen[k]!.vector);
        nearest[item] = Math.max(nearest[item]!, similarity);
      }
      known[item] = chosen.length;
      return nearest[item]!;
    };
    return inSteps({
      place: (query) => x.set(query),
      score: (item) => nearestOf(item) + weight * dotRow(items, item, x),
      learn(_, item) {
        if (!seen.has(item)) chosen.push({ item, vector: Float64Array.from(row(items, item)) });
        seen.add(item);
      },
    });
  },
};

/** Queries that are kept, and how like one a query must be to count as it; as in a `Personalizer`. */
const PLACES = { most: 128, same: 0.9, sharpness: 28 };

/** Recall's routing, with running averages of (chosen - mean of passed over) in each place. */
const routedAverages: Baseline = {
  rates: false,
  grid: over("weight", [0.5, 1, 2, 4]).flatMap((numbers) => over("nullSimilarity", [0.35, 0.6], numbers)),
  make({ items }, { weight = 1, nullSimilarity = 0.6 }) {
    const n = items.cols;
    const places: { key: Float32Array; value: Float64Array; count: number }[] = [];
    const y = new Float64Array(n);
    let x: Float32Array = new Float32Array(n);
    let nearest = -1;
    let similarity = -1;
    return inSteps({
      place(query) {
        x = query;
        y.set(x);
        similarity = -1;
        const strengths = places.map(({ key }, j) => {
          const s = dot(key, x);
          if (s > similarity) [similarity, nearest] = [s, j];
          return Math.exp(PLACES.sharpness * (s - 1));
        });
        const sum = strengths.reduce((a, v) => a + v, Math.exp(PLACES.sharpness * (nullSimilarity - 1)));
        for (const [j, strength] of strengths.entries())
          if (strength > 1e-4 * sum) addScaled(y, (weight * strength) / sum, places[j]!.value);
      },
      score: (item) => dotRow(items, item, y),
      learn(shown, chosen) {
        if (similarity < PLACES.same) {
          if (places.length >= PLACES.most) places.shift();
          nearest = places.push({ key: x.slice(), value: new Float64Array(n), count: 0 }) - 1;
        }
        const place = places[nearest]!;
        place.count++;
        const change = new Float64Array(n);
        addChosenLessOthers(items, shown, chosen, change);
        for (let i = 0; i < n; i++) place.value[i]! += (change[i]! - place.value[i]!) / place.count;
      },
    });
  },
};

/** score = a cos(x, d) + w d, a and w learned by the softmax of what was shown. */
const softmaxRegression: Baseline = {
  rates: false,
  grid: over("rate", [0.03, 0.1, 0.3, 1]).flatMap((numbers) => over("scale", [5, 10, 20], numbers)),
  make({ items }, { rate = 0.1, scale = 10 }) {
    const w = new Float64Array(items.cols);
    let a = scale;
    const x = new Float64Array(items.cols);
    const y = new Float64Array(items.cols);
    const score = (item: number) => dotRow(items, item, y);
    return inSteps({
      place(query) {
        x.set(query);
        for (let i = 0; i < y.length; i++) y[i] = a * x[i]! + w[i]!;
      },
      score,
      learn(shown, chosen) {
        const slopes = softmaxSlopes(Float64Array.from(shown, score), shown.indexOf(chosen), 1);
        let ofCosine = 0;
        for (const [k, item] of shown.entries()) ofCosine += slopes[k]! * dotRow(items, item, x);
        for (const [k, item] of shown.entries()) addScaled(w, -rate * scale * slopes[k]!, row(items, item));
        a -= rate * ofCosine;
      },
    });
  },
};

/** Others beside the chosen one that least squares learns from. */
const OTHERS = 4;

/** score = cos(x, d) + weight w d, w by recursive least squares of 1 (chosen), 0 (not) or of the rating less the mean. */
const leastSquares: Baseline = {
  rates: true,
  widest: 64,
  grid: over("weight", [0.1, 0.3, 1, 3]).flatMap((numbers) => over("ridge", [1, 10], numbers)),
  make({ items, rated }, { weight = 1, ridge = 1 }) {
    const n = items.cols;
    const inverse = new Float64Array(n * n);
    for (let i = 0; i < n; i++) inverse[i * n + i] = 1 / ridge;
    const w = new Float64Array(n);
    const k = new Float64Array(n);
    const mean = createMean();
    const x = new Float64Array(n);
    const update = (d: Float32Array, target: number) => {
      for (let i = 0; i < n; i++) k[i] = dotAt(inverse, i * n, d);
      const scale = 1 / (1 + dot(k, d));
      const error = target - dot(w, d);
      for (let i = 0; i < n; i++) {
        const step = scale * k[i]!;
        w[i]! += step * error;
        for (let j = 0; j < n; j++) inverse[i * n + j]! -= step * k[j]!;
      }
    };
    return inSteps({
      place: (query) => x.set(query),
      score: (item) => dotRow(items, item, x) + weight * dotRow(items, item, w),
      learn(shown, chosen, rating) {
        update(row(items, chosen), rated ? mean.less(rating!) : 1);
        const others = rated ? [] : shown.filter((item) => item !== chosen);
        const step = Math.max(1, Math.floor(others.length / OTHERS));
        for (let i = 0; i < others.length; i += step) update(row(items, others[i]!), 0);
      },
    });
  },
};

/** Every baseline, by name. */
export const BASELINES = {
  popularity,
  offset,
  rocchio,
  nearestClicked,
  routedAverages,
  softmaxRegression,
  leastSquares,
} as const satisfies { readonly [name: string]: Baseline };

/** The name of a baseline. */
export type BaselineName = keyof typeof BASELINES;

/** The names of the baselines that can be tried on a task. */
export function baselinesFor({ items, rated }: Task): BaselineName[] {
  return (Object.keys(BASELINES) as BaselineName[]).filter((name) => {
    const { rates, widest = Number.POSITIVE_INFINITY }: Baseline = BASELINES[name];
    return (rates || !rated) && items.cols <= widest;
  });
}

function over(key: string, values: readonly number[], numbers: Numbers = {}): Numbers[] {
  return values.map((value) => ({ ...numbers, [key]: value }));
}

/** Ratings less the mean of those before; the first one counts 0. */
function createMean(): { less(rating: number): number } {
  let sum = 0;
  let count = 0;
  return {
    less(rating) {
      const before = count === 0 ? rating : sum / count;
      sum += rating;
      count++;
      return rating - before;
    },
  };
}

function addScaled(sum: Float64Array, scale: number, vector: Float32Array | Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += scale * vector[i]!;
}

function addChosenLessOthers(items: Matrix, shown: Int32Array, chosen: number, sum: Float64Array): void {
  const others = Math.max(1, shown.length - 1);
  for (const item of shown) addScaled(sum, item === chosen ? 1 : -1 / others, row(items, item));
}
