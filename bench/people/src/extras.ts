import {
  type Choice,
  createBase,
  createLearners,
  createRandom,
  evaluatePerson,
  type Interval,
  interval,
  type LearnerRanker,
  learnFrom,
  type MakeRanker,
  mean,
  type Person,
  percentChange,
  qualityOf,
  range,
  splitOf,
} from "@microlora/evaluate";
import { Personalizer, Runtime } from "microlora";
import { measuresOf, type Problem, peopleOf } from "./problem.js";

/** What else is measured of the library's defaults: gains of MRR unless it says otherwise. */
export interface Extras {
  readonly people: number;
  /** Old state less a fresh one, on another person's held-out choices, after so many of that person's clicks. */
  readonly drift: Readonly<Record<number, number>>;
  /** After the own choices once, and after so many clicks in all, drawn again and again from the own choices. */
  readonly long: Readonly<Record<string, number>>;
  /** On somebody else's held-out choices. */
  readonly someoneElse: Interval;
  /** Ten are shown: learned from clicks alone, and from "nothing was clicked" too. */
  readonly tenShown: Interval;
  readonly tenShownAndNothing: Interval;
  /** `priorOf` 100 train people; null where there are too few. */
  readonly prior: {
    readonly people: number;
    /** Above a new user without it: on the first five choices, on choices 6 to 20, on held-out choices. */
    readonly firstFive: Interval;
    readonly nextFifteen: Interval;
    readonly heldOut: Interval;
    /** Change in percent by name and by half the name, of a user who has learned. */
    readonly names: number | null;
    readonly halves: number | null;
  } | null;
}

const PEOPLE = 60;
const LONG = [250, 500, 1000];
const DRIFT = [0, 5, 10, 20];
const TEN = 10;
const PRIOR_PEOPLE = 100;
const LEAST_PRIOR = 20;

/** Drift, long histories, nothing clicked and the shared prior, on test people of a problem of choices. */
export async function measureExtras(problem: Problem): Promise<Extras> {
  const people = peopleOf(problem, "test", PEOPLE);
  const learners = createLearners(problem, await Runtime.create());
  const make = (await learners.make()) as () => LearnerRanker;
  const base = people.map((person) => quality(problem, () => createBase(problem), [], splitOf(person).heldOut));
  const gains = (values: readonly number[]) => interval(values.map((value, i) => value - base[i]!));
  const other = (i: number) => people[(i + 1) % people.length]!;
  const after = (i: number, own: readonly Choice[], clicks: number) =>
    quality(problem, make, [...own, ...splitOf(other(i)).learning.slice(0, clicks)], splitOf(other(i)).heldOut);
  const drift = DRIFT.map((clicks) => [
    clicks,
    mean(people.map((person, i) => after(i, splitOf(person).learning, clicks) - after(i, [], clicks))),
  ]);
  const someoneElse = people.map((person, i) => after(i, splitOf(person).learning, 0) - base[(i + 1) % people.length]!);
  const extras: Extras = {
    people: people.length,
    drift: Object.fromEntries(drift),
    long: long(problem, make, people.slice(0, 30), base),
    someoneElse: interval(someoneElse),
    tenShown: gains(people.map((person) => tenShown(problem, make, person, false))),
    tenShownAndNothing: gains(people.map((person) => tenShown(problem, make, person, true))),
    prior: await prior(problem, learners, make, people),
  };
  learners.close();
  return extras;
}

/** Quality on some choices, after others were learned from. */
function quality(problem: Problem, make: MakeRanker, learned: readonly Choice[], asked: readonly Choice[]): number {
  const ranker = make();
  for (const choice of learned) learnFrom(problem, ranker, choice);
  const result = qualityOf(problem, ranker, asked);
  ranker.close();
  return result;
}

function long(
  problem: Problem,
  make: MakeRanker,
  people: readonly Person[],
  base: readonly number[],
): Readonly<Record<string, number>> {
  const totals = people.map((person, i) => {
    const { learning, heldOut } = splitOf(person);
    const random = createRandom(i);
    const ranker = make();
    for (const choice of learning) learnFrom(problem, ranker, choice);
    const values = [qualityOf(problem, ranker, heldOut) - base[i]!];
    let clicks = learning.length;
    for (const total of LONG) {
      for (; clicks < total; clicks++) {
        learnFrom(problem, ranker, learning[Math.floor(random() * learning.length)]!);
      }
      values.push(qualityOf(problem, ranker, heldOut) - base[i]!);
    }
    ranker.close();
    return values;
  });
  return Object.fromEntries(["once", ...LONG].map((label, k) => [label, mean(totals.map((values) => values[k]!))]));
}

/** A page of the ten best: where the choice is not among them, nothing was clicked. */
function tenShown(problem: Problem, make: MakeRanker, person: Person, learnsFromNothing: boolean): number {
  const { learning, heldOut } = splitOf(person);
  const ranker = make();
  for (const { query, shown, chosen } of learning) {
    const candidates = shown ?? range(problem.items.rows);
    const scores = ranker.scores(query, candidates);
    const order = range(candidates.length).sort((a, b) => scores[b]! - scores[a]!);
    const page = order.subarray(0, TEN).map((k) => candidates[k]!);
    if (page.includes(chosen)) ranker.learn(query, page, chosen);
    else if (learnsFromNothing) ranker.learn(query, page, -1);
  }
  const result = qualityOf(problem, ranker, heldOut);
  ranker.close();
  return result;
}

async function prior(
  problem: Problem,
  learners: ReturnType<typeof createLearners>,
  make: () => LearnerRanker,
  people: readonly Person[],
): Promise<Extras["prior"]> {
  const others = peopleOf(problem, "train", PRIOR_PEOPLE);
  if (others.length < LEAST_PRIOR) return null;
  const rankers = others.map((person) => {
    const ranker = make();
    for (const choice of splitOf(person).learning) learnFrom(problem, ranker, choice);
    return ranker;
  });
  const shared = await Personalizer.priorOf(rankers.map(({ user }) => user));
  for (const ranker of rankers) ranker.close();
  const measures = measuresOf(problem);
  const outcomes = (makeOne: MakeRanker) => people.map((person, i) => evaluatePerson(measures, person, makeOne, i));
  const fresh = outcomes(make);
  const forked = outcomes(await learners.make({ prior: shared }));
  shared.close();
  const above = (from: number, to: number) =>
    interval(forked.map(({ online }, i) => mean(online.slice(from, to)) - mean(fresh[i]!.online.slice(from, to))));
  const cost = (key: "names" | "halves") => {
    const change = percentChange(
      forked.map((outcome) => outcome[key]),
      fresh.map((outcome) => outcome[key]),
    );
    return Number.isNaN(change) ? null : change;
  };
  return {
    people: others.length,
    firstFive: above(0, 5),
    nextFifteen: above(5, 20),
    heldOut: interval(forked.map(({ heldOut }, i) => heldOut - fresh[i]!.heldOut)),
    names: cost("names"),
    halves: cost("halves"),
  };
}
