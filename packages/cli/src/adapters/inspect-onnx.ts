import { refuseLookalikeFile } from "@microlora/formats/node";
import { inspectModel, type ModuleReport } from "@microlora/onnx";
import { readModelFile } from "@microlora/onnx/node";
import { requireFile } from "../files.js";
import { columns, type Terminal, visible } from "../terminal.js";

/** Prints the modules of a model, and what can be done with each. @throws OnnxError; FormatError `cannot-read` */
export async function inspectOnnx(path: string, json: boolean, terminal: Terminal): Promise<void> {
  await requireFile(path);
  await refuseLookalikeFile(path);
  const reports = inspectModel(readModelFile(path));
  if (json) {
    terminal.print(JSON.stringify(reports));
    return;
  }
  if (reports.length === 0) {
    terminal.print(
      "No weight matrix: no product, table of embeddings or convolution in this model has a constant weight.",
    );
    return;
  }
  const rows = grouped(reports).map(({ report, name, count }) => [
    count === 1 ? name : `${name} (${count})`,
    report.role ?? "",
    `${report.inFeatures} -> ${report.outFeatures}`,
    report.operator,
    report.notAdaptable === undefined ? "yes" : `no: ${report.notAdaptable}`,
    report.notLearnable === undefined ? "yes" : `no: ${report.notLearnable}`,
  ]);
  const titles = ["module", "role", "shape", "operator", "adapted", "learned"];
  for (const line of columns([titles, ...rows.map((row) => row.map(visible))])) terminal.print(line);
}

/** Modules that differ in the numbers of their paths only, as the layers of a transformer do. */
interface Group {
  readonly report: ModuleReport;
  /** The path, with the numbers that occur as `{0-5}`. */
  readonly name: string;
  readonly count: number;
}

function grouped(reports: readonly ModuleReport[]): readonly Group[] {
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
