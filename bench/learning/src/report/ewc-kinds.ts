import { PROBLEM_NAMES, PROBLEMS } from "../problems.js";
import { estimate, figure, loadResult, type Run } from "../results.js";
import { SETTINGS, type SettingName } from "../settings.js";
import { interval, table } from "./tables.js";

/** What the other kinds are compared with: the library's default. */
const DEFAULT: SettingName = "onlineEwc";
const OTHERS: readonly SettingName[] = ["ewcPlusPlus", "rwalk", "productEwc", "l2"];

/** How much less, or more, the other ways of holding on gain than the default one, user by user. */
export function ewcKindsSection(): string {
  const rows = PROBLEM_NAMES.flatMap((problem) => {
    const settings = loadResult(problem)?.settings ?? {};
    const base = settings[DEFAULT];
    if (base === undefined) return [];
    const others = OTHERS.map((name) => {
      const runs = settings[name]?.runs;
      return runs === undefined ? "" : interval(estimate(differences(runs, base.runs)));
    });
    return [[PROBLEMS[problem].title, interval(estimate(figure(base.runs, "gain"))), ...others]];
  });
  const labels = OTHERS.map((name) => SETTINGS[name].label);
  return [
    "## Which kind of EWC",
    `The gain of ${SETTINGS[DEFAULT].label}, which is the default, and by how much that of the others differs from it, user by user, ± 95 %.`,
    table(["", SETTINGS[DEFAULT].label, ...labels], rows),
  ].join("\n\n");
}

/** Gain of one setting less that of another, of the same users. */
export function differences(runs: readonly Run[], others: readonly Run[]): number[] {
  const theirs = new Map(figure(others, "gain").map((gain, i) => [others[i]!.seed, gain]));
  return figure(runs, "gain").flatMap((gain, i) => {
    const other = theirs.get(runs[i]!.seed);
    return other === undefined ? [] : [gain - other];
  });
}
