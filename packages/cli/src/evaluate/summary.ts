import { type Interval, interval, known, mean, type Row, rowOf, valuesOf } from "@microlora/evaluate";
import { DRIFT, type TestedBaseline, type TestResult } from "./jobs.js";
import type { TaskFacts } from "./task-files.js";
import { DEFAULTS, type Variant } from "./variants.js";
import { type Verdict, verdictOf } from "./verdict.js";

/** A mean with its 95 % interval, and how many users it is of. */
export interface Point extends Interval {
  readonly users: number;
}

/** Everything that a run found, as `--json` prints it. */
export interface Report {
  readonly facts: TaskFacts;
  /** "MRR", or the share of pairs of ratings that are told apart. */
  readonly measure: "MRR" | "pairs";
  readonly people: number;
  /** Choices of a user on average. */
  readonly choices: number;
  readonly base: { readonly heldOut: number; readonly names: number | null; readonly otherTopics: number | null };
  /** The defaults first; then the suggested settings where they are others; then the baselines. */
  readonly rows: readonly Row[];
  /** Shares of users whose held-out choices are found better, as well, and worse. */
  readonly users: { readonly helped: number; readonly same: number; readonly harmed: number };
  /** Gain of each user, sorted. */
  readonly gains: readonly number[];
  /** Gain of choices by their number, before each is learned from. */
  readonly curve: readonly { readonly from: number; readonly to: number | null; readonly gain: Point }[];
  /** An old state less a fresh one on somebody else's choices, after so many choices of theirs. */
  readonly drift: readonly { readonly choices: number; readonly behind: Point }[];
  readonly someoneElse: Point;
  /** Quality of the order that was shown, and the share of choices that stood first; null where it is not known. */
  readonly shownOrder: { readonly heldOut: number; readonly first: number } | null;
  readonly suggestion: { readonly label: string; readonly code: string; readonly note: string | null };
  readonly verdict: Verdict;
}

/** What the report is made of. */
export interface Measured {
  readonly facts: TaskFacts;
  readonly baselines: readonly TestedBaseline[];
  readonly suggested: Variant;
  readonly results: readonly TestResult[];
}

const STEPS = [1, 6, 11, 21, 51, 101, 201];
/** Users that a point of the curve must have. */
const LEAST_OF_POINT = 5;

export function summarize(measured: Measured): Report {
  const { facts, baselines, suggested, results } = measured;
  const base = results.map((result) => result.base);
  const ours = results.map((result) => result.ours);
  const rows = [rowOf("MicroLoRA, the defaults", ours, base, ours)];
  if (suggested !== DEFAULTS) {
    rows.push(
      rowOf(
        `MicroLoRA, ${suggested.label}`,
        results.map((result) => result.suggested!),
        base,
        ours,
      ),
    );
  }
  for (const [k, { label }] of baselines.entries()) {
    rows.push(
      rowOf(
        label,
        results.map((result) => result.baselines[k]!),
        base,
        ours,
      ),
    );
  }
  const gains = ours.map(({ heldOut }, i) => heldOut - base[i]!.heldOut).filter((gain) => !Number.isNaN(gain));
  const share = (isCounted: (gain: number) => boolean) => gains.filter(isCounted).length / Math.max(1, gains.length);
  const logged = mean(results.map((result) => result.logged));
  const found = {
    facts,
    measure: facts.isRated ? ("pairs" as const) : ("MRR" as const),
    people: results.length,
    choices: mean(results.map(({ choices }) => choices)),
    base: {
      heldOut: mean(valuesOf(base, "heldOut")),
      names: known(mean(valuesOf(base, "names"))),
      otherTopics: known(mean(valuesOf(base, "otherTopics"))),
    },
    rows,
    users: { helped: share((gain) => gain > 0), same: share((gain) => gain === 0), harmed: share((gain) => gain < 0) },
    gains: gains.sort((a, b) => a - b),
    curve: curveOf(results),
    drift: DRIFT.map((choices, k) => ({ choices, behind: pointOf(results.map(({ drift }) => drift[k]!)) })),
    someoneElse: pointOf(results.map((result) => result.someoneElse)),
    shownOrder: Number.isNaN(logged) ? null : { heldOut: logged, first: mean(results.map(({ first }) => first)) },
    suggestion: suggestionOf(rows, suggested, facts.dimensions),
  };
  return { ...found, verdict: verdictOf(found) };
}

function pointOf(values: readonly number[]): Point {
  return { ...interval(values), users: values.filter((value) => !Number.isNaN(value)).length };
}

/** The gain of choices by their number, weighted as held-out choices are. */
function curveOf(results: readonly TestResult[]): Report["curve"] {
  return STEPS.flatMap((from, k) => {
    const to = STEPS[k + 1] === undefined ? null : STEPS[k + 1]! - 1;
    const values = results.map(({ base, ours, weights }) => {
      let sum = 0;
      let weight = 0;
      for (let c = from - 1; c < Math.min(to ?? Number.POSITIVE_INFINITY, ours.online.length); c++) {
        const gain = ours.online[c]! - base.online[c]!;
        if (Number.isNaN(gain)) continue;
        sum += weights[c]! * gain;
        weight += weights[c]!;
      }
      return weight === 0 ? Number.NaN : sum / weight;
    });
    const gain = pointOf(values);
    return gain.users < LEAST_OF_POINT ? [] : [{ from, to, gain }];
  });
}

/** The settings that were suggested by the users that were tuned on, where they also gain on the users that are reported on. */
function suggestionOf(rows: readonly Row[], suggested: Variant, dimensions: number): Report["suggestion"] {
  // `oursAbove` is that of the defaults above the row.
  const isBetter = suggested !== DEFAULTS && rows[1]!.oursAbove.mean < 0;
  const { label, code, note } = isBetter ? suggested : DEFAULTS;
  const settings = [`dimensions: ${dimensions}`, ...(code === "" ? [] : [code])].join(", ");
  return {
    label,
    code: `import { Personalizer } from "microlora";\n\nconst user = await Personalizer.create({ ${settings} });`,
    note: note ?? null,
  };
}
