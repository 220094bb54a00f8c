import { type Matrix, range, row } from "./matrix.js";
import { createRandom } from "./random.js";
import type { MakeRanker, Ranker, Task } from "./ranker.js";
import { mean } from "./statistics.js";

/** One choice of one person. */
export interface Choice {
  /** Unit vector. */
  readonly query: Float32Array;
  /** Row of the chosen or rated item; -1 where nothing was clicked. */
  readonly chosen: number;
  /** Rows that there were to choose from, the chosen one among them; every item where it is not known. */
  readonly shown: Int32Array | null;
  /** Kind of query. Half of the kinds are held out whole, to see what carries over. */
  readonly topic: number;
  /** In [-1, 1]. */
  readonly rating?: number;
  /** How much the choice counts where quality is measured; 1 by default. */
  readonly weight?: number;
}

/** Choices in the order of time. */
export interface Person {
  /** In the order of time. */
  readonly choices: readonly Choice[];
}

/** Queries for one known item each. */
export interface Named {
  /** Rows of the items that are asked for, and among which they are to be found; every item by default. */
  readonly items?: Int32Array;
  /** By the whole name: row k asks for `items[k]`. */
  readonly names: Matrix;
  /** By the first half of the name. */
  readonly halves: Matrix;
}

/** What one person gained and what it cost, in mean reciprocal rank. */
export interface Outcome {
  /** Over the held-out fifth, frozen; the share of pairs told apart where choices are ratings. */
  readonly heldOut: number;
  /** The reciprocal rank of each choice before it was learned from, over the first four fifths; NaN for ratings. */
  readonly online: readonly number[];
  /** Of items asked for by name. */
  readonly names: number;
  /** Of items asked for by half the name. */
  readonly halves: number;
  /** Of held-out choices whose item was chosen before. */
  readonly repeats: number;
  /** Of held-out choices of other topics, after the choices of half of the topics. */
  readonly otherTopics: number;
  /** Mean of one call of `learn`. */
  readonly microseconds: number;
  /** Of the state after the first four fifths; NaN where the ranker does not tell. */
  readonly bytes: number;
}

/** What is measured beside a person's own choices. */
export interface Measures {
  /** What is ranked. */
  readonly task: Task;
  /** Items by name; null where nothing has a name. */
  readonly named: Named | null;
  /** Whether people's queries are of several topics. */
  readonly hasTopics: boolean;
  /** Items that each person asks for by name; 25 by default. */
  readonly asked?: number;
}

const ASKED = 25;
const SHOWN = 50;
const LEARNING_SHARE = 0.8;

/** 1 / rank of the item at a place; ties count half. */
export function reciprocal(scores: Float64Array, at: number): number {
  const own = scores[at]!;
  if (Number.isNaN(own)) throw new RangeError(`The score of candidate ${at} is not a number`);
  let above = 0;
  let ties = -1;
  for (const score of scores) {
    if (score > own) above++;
    else if (score === own) ties++;
  }
  return 1 / (1 + above + ties / 2);
}

/** The first four fifths of a person's choices are learned from, the rest is held out. */
export function splitOf({ choices }: Person): { learning: readonly Choice[]; heldOut: readonly Choice[] } {
  const cut = Math.floor(choices.length * LEARNING_SHARE);
  return { learning: choices.slice(0, cut), heldOut: choices.slice(cut) };
}

/** Ranks, notes, then learns from the best 50 and the chosen one. @returns the reciprocal rank, NaN where nothing was chosen */
export function learnFrom(task: Task, ranker: Ranker, { query, shown, chosen, rating }: Choice): number {
  if (rating !== undefined && task.rated) {
    ranker.learn(query, Int32Array.of(chosen), chosen, rating);
    return Number.NaN;
  }
  const candidates = shown ?? range(task.items.rows);
  if (chosen < 0) {
    ranker.learn(query, candidates, -1);
    return Number.NaN;
  }
  const scores = ranker.scores(query, candidates);
  const rank = reciprocal(scores, candidates.indexOf(chosen));
  ranker.learn(query, candidates.length <= SHOWN ? candidates : bestOf(candidates, scores, chosen), chosen);
  return rank;
}

/** The best 50, as a page would show them, the chosen one among them. */
function bestOf(candidates: Int32Array, scores: Float64Array, chosen: number): Int32Array {
  const order = range(candidates.length).sort((a, b) => scores[b]! - scores[a]!);
  const best = order.subarray(0, SHOWN).map((k) => candidates[k]!);
  if (!best.includes(chosen)) best[SHOWN - 1] = chosen;
  return best;
}

/** Mean reciprocal rank of choices, or the share of pairs told apart; nothing is learned. */
export function qualityOf(task: Task, ranker: Ranker, choices: readonly Choice[]): number {
  if (task.rated) return toldApart(ranker, choices);
  let sum = 0;
  let weights = 0;
  for (const { query, shown, chosen, weight = 1 } of choices) {
    if (chosen < 0) continue;
    const candidates = shown ?? range(task.items.rows);
    sum += weight * reciprocal(ranker.scores(query, candidates), candidates.indexOf(chosen));
    weights += weight;
  }
  return weights === 0 ? Number.NaN : sum / weights;
}

/** Pairs of ratings that differ: the share in which the better rated scores higher, under both queries together. */
function toldApart(ranker: Ranker, choices: readonly Choice[]): number {
  const items = Int32Array.from(choices, ({ chosen }) => chosen);
  const scores = choices.map(({ query }) => ranker.scores(query, items));
  let right = 0;
  let pairs = 0;
  for (const [a, better] of choices.entries()) {
    for (const [b, worse] of choices.entries()) {
      if (better.rating! <= worse.rating!) continue;
      pairs++;
      const difference = scores[a]![a]! - scores[a]![b]! + scores[b]![a]! - scores[b]![b]!;
      right += difference > 0 ? 1 : difference === 0 ? 0.5 : 0;
    }
  }
  return pairs === 0 ? Number.NaN : right / pairs;
}

/** Half of the topics, drawn once and for all. */
const isLearnedTopic = ({ topic }: Choice): boolean => (topic * 7919) % 13 < 6;

/** Everything that is measured of one person. @param seed draws the items that are asked for by name */
export function evaluatePerson(measures: Measures, person: Person, make: MakeRanker, seed: number): Outcome {
  const { task, named, hasTopics, asked = ASKED } = measures;
  const { learning, heldOut } = splitOf(person);
  const ranker = timed(make());
  try {
    const online = learning.map((choice) => learnFrom(task, ranker, choice));
    const before = new Set(learning.map(({ chosen }) => chosen));
    const again = heldOut.filter(({ chosen }) => before.has(chosen));
    return {
      heldOut: qualityOf(task, ranker, heldOut),
      online,
      names: named === null ? Number.NaN : byName(named.names, itemsOf(task, named), ranker, seed, asked),
      halves: named === null ? Number.NaN : byName(named.halves, itemsOf(task, named), ranker, seed, asked),
      repeats: task.rated ? Number.NaN : qualityOf(task, ranker, again),
      otherTopics: hasTopics && !task.rated ? onOtherTopics(task, person, make) : Number.NaN,
      microseconds: ranker.microseconds(),
      bytes: ranker.bytes?.() ?? Number.NaN,
    };
  } finally {
    ranker.close();
  }
}

/** A ranker that knows how long its calls of `learn` took on average. */
function timed(ranker: Ranker): Ranker & { microseconds(): number } {
  let milliseconds = 0;
  let calls = 0;
  return {
    ...ranker,
    learn(...event) {
      const start = performance.now();
      ranker.learn(...event);
      milliseconds += performance.now() - start;
      calls++;
    },
    microseconds: () => (1000 * milliseconds) / calls,
  };
}

function itemsOf({ items }: Task, named: Named): Int32Array {
  return named.items ?? range(items.rows);
}

function byName(queries: Matrix, items: Int32Array, ranker: Ranker, seed: number, count: number): number {
  const random = createRandom(seed);
  const asked = Array.from({ length: count }, () => Math.floor(random() * items.length));
  return mean(asked.map((k) => reciprocal(ranker.scores(row(queries, k), items), k)));
}

function onOtherTopics(task: Task, person: Person, make: MakeRanker): number {
  const { learning, heldOut } = splitOf(person);
  const ranker = make();
  try {
    for (const choice of learning) if (isLearnedTopic(choice)) learnFrom(task, ranker, choice);
    return qualityOf(
      task,
      ranker,
      heldOut.filter((choice) => !isLearnedTopic(choice)),
    );
  } finally {
    ranker.close();
  }
}
