import {
  BASELINES,
  type Baseline,
  type BaselineName,
  createBase,
  createLearners,
  evaluatePerson,
  known,
  type LearnerOptions,
  type MakeRanker,
  mean,
  type Person,
  type Row,
  rowOf,
  type Tuned,
  valuesOf,
} from "@microlora/evaluate";
import { Runtime } from "microlora";
import { measuresOf, type Problem, peopleOf } from "./problem.js";

/** Everything measured of one problem. */
export interface Result {
  readonly people: number;
  /** Choices of a person on average. */
  readonly choices: number;
  readonly base: {
    readonly heldOut: number;
    readonly names: number | null;
    readonly halves: number | null;
    readonly repeats: number | null;
    readonly otherTopics: number | null;
  };
  readonly rows: readonly Row[];
  readonly ablations: readonly Row[];
}

export const OURS = "Personalizer";

const ABLATED = 40;
const RANK_2 = { slow: { rank: 2 } } as const;

/** Parts of the library switched off or otherwise, one at a time. */
const ABLATIONS: Readonly<Record<string, LearnerOptions>> = {
  [OURS]: {},
  "no recall": { config: { recall: false, slow: { gated: false } } },
  "nothing general (no slow weights)": { config: { slow: false } },
  "general weights act everywhere (not gated)": { config: { slow: { gated: false } } },
  "rank 2 beside the bias": { config: RANK_2 },
  "no item term": { config: { items: false } },
  "32 places in recall": { config: { recall: { rows: 32 } } },
  "without an index (a vector database)": { withoutIndex: true },
  "shown unknown: 19 drawn from the index": { drawn: true },
};

/** Runs the test people of a problem once. */
export async function measure(problem: Problem, tuned: Tuned, most: number): Promise<Result> {
  const measures = measuresOf(problem);
  const people = peopleOf(problem, "test", most);
  const outcomesOf = (make: MakeRanker, some: readonly Person[]) =>
    some.map((person, i) => evaluatePerson(measures, person, make, i));
  const base = outcomesOf(() => createBase(problem), people);
  const runtime = await Runtime.create();
  const learners = createLearners(problem, runtime);
  const ours = outcomesOf(await learners.make(), people);
  const rows = [rowOf(OURS, ours, base, ours)];
  if (!problem.rated) {
    const blended = outcomesOf(await learners.make({ withPopularity: true }), people);
    rows.push(rowOf(`${OURS} with popularity as \`scores\``, blended, base, ours));
  }
  for (const [name, { free, within }] of Object.entries(tuned)) {
    const { make }: Baseline = BASELINES[name as BaselineName];
    const isSame = JSON.stringify(free.numbers) === JSON.stringify(within?.numbers);
    for (const [kind, chosen] of [[isSame ? "" : ", within 2 %", within] as const, [", no budget", free] as const]) {
      if (chosen === null || (isSame && chosen === free)) continue;
      const outcomes = outcomesOf(() => make(problem, chosen.numbers), people);
      rows.push(rowOf(`${name}${kind}`, outcomes, base, ours));
    }
  }
  const some = people.slice(0, ABLATED);
  const ablations: Row[] = [];
  for (const [label, options] of Object.entries(ABLATIONS)) {
    if (!problem.indexed && (options.withoutIndex || options.drawn)) continue;
    if (problem.rated && options.drawn) continue;
    const outcomes = outcomesOf(await learners.make(options), some);
    ablations.push(rowOf(label, outcomes, base.slice(0, some.length), ours.slice(0, some.length)));
  }
  learners.close();
  return {
    people: people.length,
    choices: Math.round(mean(people.map(({ choices }) => choices.length))),
    base: {
      heldOut: mean(valuesOf(base, "heldOut")),
      names: known(mean(valuesOf(base, "names"))),
      halves: known(mean(valuesOf(base, "halves"))),
      repeats: known(mean(valuesOf(base, "repeats"))),
      otherTopics: known(mean(valuesOf(base, "otherTopics"))),
    },
    rows,
    ablations,
  };
}
