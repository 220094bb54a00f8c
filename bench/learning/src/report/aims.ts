import { entryOf, PROBLEM_NAMES, type ProblemName } from "../problems.js";
import { estimate, figure, loadResult, type ProblemResult, type Run } from "../results.js";
import { SETTINGS, type SettingName } from "../settings.js";
import { differences } from "./ewc-kinds.js";
import { interval, rowsOf, table } from "./tables.js";

/** What learns and holds on: everything but the base, the baselines, the ceiling and the original. */
const CONTENDERS: ReadonlySet<SettingName> = new Set(
  (Object.keys(SETTINGS) as SettingName[]).filter(
    (name) =>
      !["base", "offset", "none", "noneAtRate", "l2", "joint", "originalScore", "originalGradient"].includes(name),
  ),
);
const BYTES = 64 * 1024;
const COLLATERAL = 0.02;

interface Verdict {
  readonly aim: string;
  readonly problem: ProblemName;
  readonly measured: string;
  readonly met: boolean;
}

/** Each aim on each problem that it is for, missed ones with the number that was reached. */
export function aimsTable(): string {
  const verdicts = PROBLEM_NAMES.flatMap((problem) => {
    const result = loadResult(problem);
    if (result === null) return [];
    const compatible = !problem.includes("contradicting");
    return [
      ...(compatible ? [shareOfJoint(problem, result), forgettingTaken(problem, result)] : []),
      aheadOfOffset(problem, result),
      asItComesBest(problem, result),
    ].filter((verdict) => verdict !== null);
  });
  return table(
    ["", "aim", "measured", ""],
    verdicts.map(({ aim, problem, measured, met }) => [entryOf(problem).title, aim, measured, met ? "met" : "missed"]),
  );
}

function shareOfJoint(problem: ProblemName, result: ProblemResult): Verdict | null {
  const [base, joint] = [meanOf(result, "base", "acc"), meanOf(result, "joint", "acc")];
  if (base === null || joint === null) return null;
  const small = contenders(result).filter(([, runs]) => estimate(figure(runs, "bytes")).mean <= BYTES);
  const [name, runs] = best(small, (each) => estimate(figure(each, "acc")).mean) ?? [];
  if (name === undefined || runs === undefined) return null;
  const share = (estimate(figure(runs, "acc")).mean - base) / (joint - base);
  return {
    aim: "(ACC − base) / (joint − base) ≥ 0.8 within 64 KB",
    problem,
    measured: `${share.toFixed(2)} (${SETTINGS[name].label})`,
    met: share >= 0.8,
  };
}

/** The setting that forgets least of those that learn well enough; of all, if none does. */
function forgettingTaken(problem: ProblemName, result: ProblemResult): Verdict | null {
  const [forgotten, learned] = [meanOf(result, "noneAtRate", "forgetting"), meanOf(result, "noneAtRate", "learning")];
  if (forgotten === null || learned === null) return null;
  const learning = (runs: readonly Run[]) => estimate(figure(runs, "learning")).mean / learned;
  const taken = (runs: readonly Run[]) => 1 - estimate(figure(runs, "forgetting")).mean / forgotten;
  const able = contenders(result).filter(([, runs]) => learning(runs) >= 0.9);
  const [name, runs] = best(able, taken) ?? best(contenders(result), learning) ?? [];
  if (name === undefined || runs === undefined) return null;
  return {
    aim: "forgetting down by 80 % at 90 % of the learning of none at the same rate",
    problem,
    measured: `${percent(taken(runs), 1)} at ${percent(learning(runs), 1)} (${SETTINGS[name].label})`,
    met: taken(runs) >= 0.8 && learning(runs) >= 0.9,
  };
}

/** Gains over the base, user by user, which takes out how much easier some users are than others. */
function aheadOfOffset(problem: ProblemName, result: ProblemResult): Verdict | null {
  const offset = result.settings.offset;
  const [name, runs] = best(contenders(result), (each) => estimate(figure(each, "acc")).mean) ?? [];
  if (offset === undefined || name === undefined || runs === undefined) return null;
  const [ours, theirs] = [estimate(figure(runs, "gain")), estimate(figure(offset.runs, "gain"))];
  return {
    aim: "gain in ACC ahead of the constant offset's, intervals apart",
    problem,
    measured: `${interval(ours)} (${SETTINGS[name].label}), offset ${interval(theirs)}; user by user ${interval(estimate(differences(runs, offset.runs)))} more`,
    met: ours.mean - ours.interval > theirs.mean + theirs.interval,
  };
}

/** Against the highest gain of what loses as little elsewhere. */
function asItComesBest(problem: ProblemName, result: ProblemResult): Verdict | null {
  const ours = result.settings.asItComes;
  if (ours === undefined) return null;
  const gain = (runs: readonly Run[]) => estimate(figure(runs, "gain")).mean;
  const change = (runs: readonly Run[]) => estimate(figure(runs, "collateral")).mean;
  const careful = rowsOf(result).filter(([, runs]) => change(runs) >= -COLLATERAL);
  const [name, runs] = best(careful, gain) ?? [];
  if (name === undefined || runs === undefined) return null;
  const text = `${gain(ours.runs).toFixed(3)} at ${percent(change(ours.runs), 1)}`;
  return {
    aim: "Personalizer as it comes: the highest gain among those that lose at most 2 % elsewhere",
    problem,
    measured:
      name === "asItComes"
        ? text
        : `${text}; ${SETTINGS[name].label} ${gain(runs).toFixed(3)} at ${percent(change(runs), 1)}, user by user ${interval(estimate(differences(runs, ours.runs)))} more`,
    met: name === "asItComes",
  };
}

function contenders(result: ProblemResult): [SettingName, readonly Run[]][] {
  return rowsOf(result).filter(([name]) => CONTENDERS.has(name));
}

function best<T>(rows: readonly [T, readonly Run[]][], by: (runs: readonly Run[]) => number) {
  const values = rows.map(([, runs]) => by(runs));
  return rows[values.indexOf(Math.max(...values))];
}

function meanOf(result: ProblemResult, name: SettingName, of: string): number | null {
  const setting = result.settings[name];
  return setting === undefined ? null : estimate(figure(setting.runs, of)).mean;
}

function percent(share: number, digits = 0): string {
  return `${(100 * share).toFixed(digits)} %`;
}
