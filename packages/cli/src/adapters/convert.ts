import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { parseArgs } from "node:util";
import {
  FLOAT_DTYPES,
  type FloatDType,
  type FormatName,
  foldReplaced,
  formatOfName,
  type LoraFile,
  renameModules,
  type Tensor,
} from "@microlora/formats";
import { readAdapter, readBaseModel, SafetensorsReader, writeAdapter } from "@microlora/formats/node";
import { ofFile } from "../refusal.js";
import type { Terminal } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";
import { FORMAT_TITLES, formatNamed, numberOption, renaming } from "./arguments.js";
import { summary } from "./inspect.js";

export const CONVERT_USAGE = `Usage: microlora convert IN OUT [options]

Writes an adapter in another program's format. What IN is, is told by its first bytes, else by its name; a folder is PEFT's.
What OUT becomes is told by the end of its name, and is a PEFT folder if that has none.

  --to NAME          what OUT becomes: ${Object.keys(FORMAT_TITLES).join(", ")}
  --from NAME        what IN is
  --dtype TYPE       ${FLOAT_DTYPES.join(", ")}; by default what IN has
  --alpha N          alpha, where IN says none
  --uniform          one rank and one scaling for all modules, for programs that ignore PEFT's patterns
  --rename OLD=NEW   another name for a module; may be given again
  --base FILE        the base model: its config.json (or folder) or GGUF file, by which GGUF names modules and orders rows; its
                     safetensors, against which trained biases become differences; may be given again
  --drop-replaced    leave out whole tensors of the base that were trained, such as a classifier's
  --force            write over what is at OUT`;

const OPTIONS = {
  to: { type: "string" },
  from: { type: "string" },
  dtype: { type: "string" },
  alpha: { type: "string" },
  uniform: { type: "boolean", default: false },
  rename: { type: "string", multiple: true },
  base: { type: "string", multiple: true },
  "drop-replaced": { type: "boolean", default: false },
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
  const rename = renaming(values.rename ?? []);
  const weights = values.base?.filter((path) => path.endsWith(".safetensors")) ?? [];
  const described = values.base?.find((path) => !weights.includes(path));
  const base = described === undefined ? {} : { base: await ofFile(described, () => readBaseModel(described)) };
  const options = {
    ...base,
    ...(values.from !== undefined && { format: formatNamed(values.from) }),
    ...(values.alpha !== undefined && { alpha: numberOption("--alpha", values.alpha) }),
  };
  const { file } = await ofFile(input, () => readAdapter(input, options));
  const folded = await withoutReplaced(file, weights[0], values["drop-replaced"]);
  const renamed = renameModules(folded, rename);
  await writeAdapter(renamed, output, format, {
    uniform: values.uniform,
    overwrite: values.force,
    ...base,
    ...(dtype !== undefined && { dtype }),
  });
  terminal.print(`${output}: ${FORMAT_TITLES[format]}, ${summary(renamed)}`);
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

/** Trained biases become differences to the base's where that is given; the rest stays, or is dropped. */
async function withoutReplaced(file: LoraFile, base: string | undefined, drop: boolean): Promise<LoraFile> {
  const rest = drop ? "drop" : "keep";
  if (base === undefined) return drop ? { ...file, replaced: new Map() } : file;
  await using reader = await ofFile(base, () => SafetensorsReader.open(base));
  const tensors = new Map<string, Tensor>();
  for (const name of file.replaced.keys()) {
    if (reader.layout.tensors.has(name)) tensors.set(name, await reader.read(name));
  }
  return foldReplaced(file, (name) => tensors.get(name), rest);
}
