import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { parseArgs } from "node:util";
import {
  applyRules,
  FLOAT_DTYPES,
  type FloatDType,
  FORMAT_NAMES,
  type FormatName,
  formatOfName,
} from "@microlora/formats";
import { readAdapter, writeAdapter } from "@microlora/formats/node";
import { ofFile } from "../refusal.js";
import { printWarnings, type Terminal } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";
import { FORMAT_TITLES, formatNamed, MODULE_OPTIONS, moduleRules, moduleUsage, readingOptions } from "./arguments.js";
import { againstBase, readBases } from "./bases.js";
import { summary } from "./inspect.js";

export const CONVERT_USAGE = `Usage: microlora convert IN OUT [options]

Writes an adapter in another program's format. What IN is, is told by its first bytes, else by its name; a folder is PEFT's.
What OUT becomes is told by the end of its name, and is a PEFT folder if that has none.

  --to NAME          what OUT becomes: ${FORMAT_NAMES.join(", ")}
${moduleUsage("IN")}
  --dtype TYPE       ${FLOAT_DTYPES.join(", ")}; by default what IN has
  --uniform          one rank and one scaling for all modules, for programs that ignore PEFT's patterns
  --base FILE        the base model; may be given again. Its config.json (or folder) or GGUF: by it GGUF names modules and orders
                     rows. Its safetensors (or folder): by it trained biases become differences, and kohya's names get their dots
                     back. An .onnx graph: its names of parameters are those of an .onnx_adapter
  --drop-replaced    leave out whole tensors of the base that were trained, such as a classifier's
  --json             one JSON object instead of a line
  --force            write over what is at OUT`;

const OPTIONS = {
  ...MODULE_OPTIONS,
  to: { type: "string" },
  dtype: { type: "string" },
  uniform: { type: "boolean", default: false },
  base: { type: "string", multiple: true },
  "drop-replaced": { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  force: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** @throws UsageError; FormatError */
export async function convert(args: readonly string[], terminal: Terminal): Promise<void> {
  const { values, positionals } = parsed(() =>
    parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS }),
  );
  if (values.help) return terminal.print(CONVERT_USAGE);
  const [input, output, more] = positionals;
  if (input === undefined || output === undefined || more !== undefined) throw new UsageError(CONVERT_USAGE);
  const format = values.to !== undefined ? formatNamed(values.to) : await formatOf(output);
  const dtype = values.dtype === undefined ? undefined : dtypeNamed(values.dtype);
  const rules = moduleRules(values);
  const reading = readingOptions(values);
  await using bases = await readBases(values.base ?? []);
  const { file } = await ofFile(input, () => readAdapter(input, { ...reading, ...bases.facts }));
  const chosen = applyRules(file, rules);
  const written = await againstBase(chosen, bases.tensors, values["drop-replaced"]);
  await writeAdapter(written, output, format, {
    uniform: values.uniform,
    overwrite: values.force,
    ...bases.facts,
    ...bases.graph,
    ...(dtype !== undefined && { dtype }),
  });
  printWarnings(written.warnings ?? []);
  const modules = written.targets.map(({ module, rank }) => ({ module, rank }));
  if (values.json) terminal.print(JSON.stringify({ output, format, modules, warnings: written.warnings ?? [] }));
  else terminal.print(`${output}: ${FORMAT_TITLES[format]}, ${summary(written)}`);
}

/** The format that a path's name promises. @throws UsageError */
async function formatOf(path: string): Promise<FormatName> {
  const format = formatOfName(path);
  if (format !== undefined) return format;
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => extname(path) === "" || path.endsWith("/"),
  );
  if (isFolder) return "peft";
  throw new UsageError(`The name ${JSON.stringify(path)} tells no format; say --to NAME`);
}

function dtypeNamed(name: string): FloatDType {
  const dtype = FLOAT_DTYPES.find((known) => known === name.toUpperCase());
  if (dtype !== undefined) return dtype;
  throw new UsageError(`--dtype takes ${FLOAT_DTYPES.join(", ")}, not ${JSON.stringify(name)}`);
}
