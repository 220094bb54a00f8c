import { parseArgs } from "node:util";
import {
  fitToModel,
  type LoraFile,
  type LoraTarget,
  refuseReplaced,
  renameModules,
  scalingOf,
} from "@microlora/formats";
import { mergeSafetensors, readAdapter, readBaseModel } from "@microlora/formats/node";
import { mergeIntoModel } from "@microlora/onnx/node";
import type { Terminal } from "../terminal.js";
import { UsageError } from "../usage-error.js";
import { formatNamed, numberOption, parsed, renaming } from "./arguments.js";
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
  const weightLayout = (["in-out", "out-in"] as const).find((layout) => layout === values.weights);
  if (values.weights !== undefined && weightLayout === undefined) {
    throw new UsageError(`--weights takes in-out or out-in, not ${JSON.stringify(values.weights)}`);
  }
  const rename = renaming(values.rename ?? []);
  const read = await readAdapter(adapter, {
    ...(values.from !== undefined && { format: formatNamed(values.from) }),
    ...(values.alpha !== undefined && { alpha: numberOption("--alpha", values.alpha) }),
    ...(values.base !== undefined && { base: await readBaseModel(values.base) }),
  });
  const file = renameModules(read.file, rename);
  const { unmerge } = values;
  if (model.endsWith(".onnx")) await mergeOnnx(model, output, file, unmerge);
  else await mergeSafetensors(model, output, file, { unmerge, ...(weightLayout && { weightLayout }) });
  if (values.json) terminal.print(JSON.stringify({ output, unmerge, modules: file.targets.map(told) }));
  else terminal.print(`${output}: ${unmerge ? "without" : "with"} ${summary(file)}`);
}

/** Of what is taken out again, the model has another fingerprint than the base that an adapter was made for. */
async function mergeOnnx(model: string, output: string, file: LoraFile, unmerge: boolean): Promise<void> {
  refuseReplaced(file, "merging into .onnx");
  await mergeIntoModel(
    model,
    output,
    ({ modules, fingerprint }) => {
      const { targets } = fitToModel(file, unmerge ? { modules } : { modules, fingerprint });
      return targets.map((target) => ({ ...target, scaling: scalingOf(target) }));
    },
    { sign: unmerge ? -1 : 1 },
  );
}

function told(target: LoraTarget) {
  const { module, rank } = target;
  return { module, rank, scaling: scalingOf(target) };
}
