import type { ModuleReport } from "./inspect-model.js";

/** Modules that differ in the numbers of their paths only, as the layers of a transformer do. */
export interface ModuleGroup {
  /** The first of them. */
  readonly report: ModuleReport;
  /** The path, with the numbers that occur as `{0-5}`. */
  readonly name: string;
  /** How many modules there are. */
  readonly count: number;
}

/** Modules of one kind together, in the order in which they come: what a table of a model shows. */
export function groupModules(reports: readonly ModuleReport[]): readonly ModuleGroup[] {
  const groups = new Map<string, ModuleReport[]>();
  for (const report of reports) {
    const { module, role, inFeatures, outFeatures, operator, notAdaptable, notLearnable } = report;
    const reasons = [notAdaptable, notLearnable].map((reason) => reason?.replace(/\d+/g, "#"));
    const key = JSON.stringify([module.replace(/\d+/g, "#"), role, inFeatures, outFeatures, operator, ...reasons]);
    groups.set(key, [...(groups.get(key) ?? []), report]);
  }
  return [...groups.values()].map((all) => ({ report: all[0]!, name: nameOf(all), count: all.length }));
}

/** One path for several: `layers.{0-5}.q_proj`, `layers.{0,2,5}.q_proj`. */
function nameOf(reports: readonly ModuleReport[]): string {
  const numbers = reports.map(({ module }) => module.match(/\d+/g) ?? []);
  let place = 0;
  return reports[0]!.module.replace(/\d+/g, (first) => {
    const at = place++;
    const all = [...new Set(numbers.map((each) => Number(each[at])))].sort((a, b) => a - b);
    if (all.length === 1) return first;
    const isRange = all.every((number, i) => number === all[0]! + i);
    return `{${isRange ? `${all[0]}-${all.at(-1)}` : all.join(",")}}`;
  });
}
