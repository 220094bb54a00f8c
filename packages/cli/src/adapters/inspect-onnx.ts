import { refuseLookalikeFile } from "@microlora/formats/node";
import { groupModules, inspectModel } from "@microlora/onnx";
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
  const rows = groupModules(reports).map(({ report, name, count }) => [
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
