import {
  BASELINES,
  type Baseline,
  baselinesFor,
  createBase,
  createLearners,
  evaluatePerson,
  type LearnerRanker,
  learnFrom,
  type MakeRanker,
  type Numbers,
  type Outcome,
  type Person,
  qualityOf,
  type Ranker,
  splitOf,
  type TunedOutcome,
} from "@microlora/evaluate";
import { Runtime } from "microlora";
import { measuresOf, type Place, readPerson, type SharedTask } from "./task-files.js";
import { DEFAULTS, variantsFor } from "./variants.js";

/** A baseline with its settings, and the name of its row. */
export interface TestedBaseline {
  readonly label: string;
  readonly baseline: string;
  readonly numbers: Numbers;
}

/** What a thread does with one user. */
export type Job =
  | { readonly place: "tune"; readonly i: number }
  | {
      readonly place: "test";
      readonly i: number;
      readonly baselines: readonly TestedBaseline[];
      /** Label of the settings that are suggested. */
      readonly suggested: string;
    };

export interface TuneResult {
  readonly place: "tune";
  readonly i: number;
  readonly base: TunedOutcome;
  /** By baseline, in the order of its settings. */
  readonly settings: Readonly<Record<string, readonly TunedOutcome[]>>;
  /** By label. */
  readonly variants: Readonly<Record<string, TunedOutcome>>;
}

export interface TestResult {
  readonly place: "test";
  readonly i: number;
  readonly choices: number;
  /** Weights of the choices that were learned from. */
  readonly weights: readonly number[];
  readonly base: Outcome;
  readonly ours: Outcome;
  /** null where the defaults are suggested. */
  readonly suggested: Outcome | null;
  /** In the order of the job's. */
  readonly baselines: readonly Outcome[];
  /** Quality of the order that was shown; NaN where it is not known. */
  readonly logged: number;
  /** Share of choices that were shown first; NaN where it is not known. */
  readonly first: number;
  /** On the held-out choices of the next user: the state of this one less the base. */
  readonly someoneElse: number;
  /** The same state less a fresh one, after so many choices of the next user. */
  readonly drift: readonly number[];
}

export type JobResult = TuneResult | TestResult;

/** Choices of somebody else after which drift is measured. */
export const DRIFT = [0, 5, 10, 20];

/** Names that a user who is tuned on asks for; all of them together are a few hundred. */
const TUNE_ASKED = 10;

const LEAST_MEMORY = 2 ** 28;
const SPARE_MEMORY = 2 ** 26;

/** Replays users, one job at a time. */
export async function createReplay(shared: SharedTask, folder: string): Promise<(job: Job) => Promise<JobResult>> {
  const measures = measuresOf(shared);
  const { task } = measures;
  const { facts } = shared;
  const memoryBytes = Math.max(LEAST_MEMORY, Math.ceil(1.25 * shared.items.byteLength) + SPARE_MEMORY);
  const learners = createLearners(task, await Runtime.create({ memoryBytes }));
  const variants = variantsFor(facts.isRated);
  const makers = new Map<string, MakeRanker>();
  for (const { label, options } of variants) makers.set(label, await learners.make(options));
  const person = (place: Place, i: number) => readPerson(folder, place, i, facts.dimensions);
  const base: MakeRanker = () => createBase(task);
  const baselineOf = (name: string): Baseline => (BASELINES as Readonly<Record<string, Baseline>>)[name]!;

  function tune(i: number): TuneResult {
    const own = person("tune", i);
    const measure = (make: MakeRanker) => {
      const { heldOut, names, halves } = evaluatePerson(
        { ...measures, hasTopics: false, asked: TUNE_ASKED },
        own,
        make,
        i,
      );
      return { heldOut, names, halves };
    };
    return {
      place: "tune",
      i,
      base: measure(base),
      settings: Object.fromEntries(
        baselinesFor(task).map((name) => {
          const { make, grid } = baselineOf(name);
          return [name, grid.map((numbers) => measure(() => make(task, numbers)))];
        }),
      ),
      variants: Object.fromEntries(variants.map(({ label }) => [label, measure(makers.get(label)!)])),
    };
  }

  function test(i: number, baselines: readonly TestedBaseline[], suggested: string): TestResult {
    const own = person("test", i);
    const other = person("test", (i + 1) % facts.test);
    const measure = (make: MakeRanker) => evaluatePerson(measures, own, make, i);
    const make = makers.get(DEFAULTS.label)! as () => LearnerRanker;
    return {
      place: "test",
      i,
      choices: own.choices.length,
      weights: splitOf(own).learning.map(({ weight = 1 }) => weight),
      base: measure(base),
      ours: measure(make),
      suggested: suggested === DEFAULTS.label ? null : measure(makers.get(suggested)!),
      baselines: baselines.map(({ baseline, numbers }) => measure(() => baselineOf(baseline).make(task, numbers))),
      ...asShown(own),
      ...onSomeoneElse(own, other, make),
    };
  }

  /** Quality of the order in the log; users choose what stands first more often, whatever it is. */
  function asShown(own: Person): Pick<TestResult, "logged" | "first"> {
    const isKnown = !facts.isRated && facts.log.hasShown;
    if (!isKnown) return { logged: Number.NaN, first: Number.NaN };
    const known = own.choices.filter(({ shown, chosen }) => shown !== null && chosen >= 0);
    const order = { scores: (_: Float32Array, items: Int32Array) => Float64Array.from(items, (__, k) => -k) } as Ranker;
    const { heldOut } = splitOf(own);
    return {
      logged: qualityOf(
        task,
        order,
        heldOut.filter(({ shown }) => shown !== null),
      ),
      first: known.filter(({ shown, chosen }) => shown![0] === chosen).length / known.length,
    };
  }

  function onSomeoneElse(own: Person, other: Person, make: MakeRanker): Pick<TestResult, "someoneElse" | "drift"> {
    const { learning, heldOut } = splitOf(other);
    const quality = (start: readonly Person["choices"][number][]) => {
      const ranker = make();
      for (const choice of start) learnFrom(task, ranker, choice);
      const values = DRIFT.map((clicks, k) => {
        for (const choice of learning.slice(DRIFT[k - 1] ?? 0, clicks)) learnFrom(task, ranker, choice);
        return qualityOf(task, ranker, heldOut);
      });
      ranker.close();
      return values;
    };
    const old = quality(splitOf(own).learning);
    const fresh = quality([]);
    return { someoneElse: old[0]! - fresh[0]!, drift: old.map((value, k) => value - fresh[k]!) };
  }

  return async (job) => (job.place === "tune" ? tune(job.i) : test(job.i, job.baselines, job.suggested));
}
