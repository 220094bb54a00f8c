import { parseArgs } from "node:util";
import {
  fitToModel,
  type LoraFile,
  type LoraTarget,
  refuseReplaced,
  renameModules,
  scalingOf,
} from "@microlora/formats";
import { fileError, mergeSafetensors, readAdapter, readBaseModel } from "@microlora/formats/node";
import { mergeIntoModel } from "@microlora/onnx/node";
import { requireFile } from "../files.js";
import { ofFile } from "../refusal.js";
import type { Terminal } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";
import { formatNamed, numberOption, renaming } from "./arguments.js";
import { summary } from "./inspect.js";

export const MERGE_USAGE = `Usage: microlora merge MODEL ADAPTER OUT [options]

Writes the model with the adapter merged into its weights, a few megabytes in memory at a time: of a safetensors file or a
folder of them the same, of an .onnx the same. What ADAPTER is, is told by its first bytes, else by its name.
The data files of an .onnx are written beside OUT under their names, so that such a model needs another folder.

  --unmerge          subtract what merging added
  --json             one JSON object instead of a line
  --from NAME        what ADAPTER is
  --alpha N          alpha, where ADAPTER says none
  --rename OLD=NEW   another name for a module of ADAPTER; may be given again
  --force            write over what is at OUT
  --base FILE        the base model's config.json or GGUF, where ADAPTER is a GGUF that says nothing of heads
  --weights LAYOUT   how linear weights of safetensors lie, out-in or in-out; by default as the adapter's file or the
                     model's shapes tell`;

const OPTIONS = {
  unmerge: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  from: { type: "string" },
  alpha: { type: "string" },
  rename: { type: "string", multiple: true },
  base: { type: "string" },
  weights: { type: "string" },
  force: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** @throws UsageError; FormatError; OnnxError */
export async function merge(args: readonly string[], terminal: Terminal): Promise<void> {
  const { values, positionals } = parsed(() =>
    parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS }),
  );
  if (values.help) return terminal.print(MERGE_USAGE);
  const [model, adapter, output, more] = positionals;
  if (model === undefined || adapter === undefined || output === undefined || more !== undefined) {
    throw new UsageError(MERGE_USAGE);
  }
  const isOnnx = model.endsWith(".onnx");
  if (isOnnx !== output.endsWith(".onnx")) throw new UsageError("Of an .onnx model OUT is one too, and of no other");
  const layout = values.weights === undefined ? {} : { weightLayout: layoutNamed(values.weights, isOnnx) };
  const rename = renaming(values.rename ?? []);
  const { base, unmerge } = values;
  const options = {
    ...(values.from !== undefined && { format: formatNamed(values.from) }),
    ...(values.alpha !== undefined && { alpha: numberOption("--alpha", values.alpha) }),
    ...(base !== undefined && { base: await ofFile(base, () => readBaseModel(base)) }),
  };
  const read = await ofFile(adapter, () => readAdapter(adapter, options));
  const file = renameModules(read.file, rename);
  const how = { unmerge, overwrite: values.force };
  await ofFile(model, () =>
    isOnnx ? mergeOnnx(model, output, file, how) : mergeSafetensors(model, output, file, { ...how, ...layout }),
  );
  if (values.json) terminal.print(JSON.stringify({ output, unmerge, modules: file.targets.map(told) }));
  else terminal.print(`${output}: ${unmerge ? "without" : "with"} ${summary(file)}`);
}

function layoutNamed(name: string, isOnnx: boolean): "in-out" | "out-in" {
  if (isOnnx) throw new UsageError("--weights is for safetensors; an .onnx tells how its weights lie");
  if (name === "in-out" || name === "out-in") return name;
  throw new UsageError(`--weights takes in-out or out-in, not ${JSON.stringify(name)}`);
}

interface How {
  readonly unmerge: boolean;
  /** Whether what is at the output may be written over. */
  readonly overwrite: boolean;
}

/** Of what is taken out again, the model has another fingerprint than the base that an adapter was made for. */
async function mergeOnnx(model: string, output: string, file: LoraFile, { unmerge, overwrite }: How): Promise<void> {
  await requireFile(model);
  refuseReplaced(file, "merging into .onnx");
  await mergeIntoModel(
    model,
    output,
    ({ modules, fingerprint }) => {
      const { targets } = fitToModel(file, unmerge ? { modules } : { modules, fingerprint });
      return targets.map((target) => ({ ...target, scaling: scalingOf(target) }));
    },
    { sign: unmerge ? -1 : 1, overwrite },
  ).catch((cause: unknown) => {
    throw fileError(cause, output, "writing");
  });
}

function told(target: LoraTarget) {
  const { module, rank } = target;
  return { module, rank, scaling: scalingOf(target) };
}
