import { parseArgs } from "node:util";
import {
  applyRules,
  fitToModel,
  type LoraFile,
  type LoraTarget,
  refuseParts,
  refuseReplaced,
  scalingOf,
} from "@microlora/formats";
import {
  fileError,
  mergeGguf,
  mergeSafetensors,
  readAdapter,
  readBaseModel,
  refuseLookalikeFile,
} from "@microlora/formats/node";
import { mergeIntoModel } from "@microlora/onnx/node";
import { requireFile } from "../files.js";
import { ofFile } from "../refusal.js";
import { printWarnings, type Terminal } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";
import { MODULE_OPTIONS, moduleRules, moduleUsage, readingOptions } from "./arguments.js";
import { summary } from "./inspect.js";

export const MERGE_USAGE = `Usage: microlora merge MODEL ADAPTER OUT [options]

Writes the model with the adapter merged into its weights, a few megabytes in memory at a time: of a safetensors file or a
folder of them the same, with configuration and tokenizer; of a GGUF model and of an .onnx the same. What ADAPTER is, is told by
its first bytes, else by its name. The data files of an .onnx are written beside OUT under their names, so that such a model
needs another folder.

  --unmerge          subtract what merging added
  --json             one JSON object instead of a line
${moduleUsage("ADAPTER")}
  --force            write over what is at OUT
  --base FILE        the base model's config.json or GGUF, where ADAPTER is a GGUF that says nothing of heads, or a GGUF MODEL
                     says too little of itself
  --weights LAYOUT   how linear weights of safetensors lie, out-in or in-out; by default as the adapter's file or the
                     model's shapes tell`;

const OPTIONS = {
  ...MODULE_OPTIONS,
  unmerge: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  base: { type: "string" },
  weights: { type: "string" },
  force: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** The kinds of models that are merged into, by the ends of their names; anything else is safetensors. */
type ModelKind = "onnx" | "gguf" | "safetensors";

function kindOfModel(path: string): ModelKind {
  return path.endsWith(".onnx") ? "onnx" : path.endsWith(".gguf") ? "gguf" : "safetensors";
}

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
  const kind = kindOfModel(model);
  if (kind !== kindOfModel(output)) throw new UsageError("OUT is of MODEL's kind: .onnx, .gguf, or safetensors");
  const layout = values.weights === undefined ? {} : { weightLayout: layoutNamed(values.weights, kind) };
  const rules = moduleRules(values);
  const { base, unmerge, force: overwrite } = values;
  const given = base === undefined ? {} : { base: await ofFile(base, () => readBaseModel(base)) };
  const told = { ...readingOptions(values), ...given };
  // A GGUF adapter has its rows in the order of its base, which a GGUF model is.
  const reading = kind === "gguf" ? { base: await ofFile(model, () => readBaseModel(model)), ...told } : told;
  const read = await ofFile(adapter, () => readAdapter(adapter, reading));
  const file = applyRules(read.file, rules);
  const merged = await ofFile(model, () =>
    MERGES[kind](model, output, file, { unmerge, overwrite, ...layout, ...given }),
  );
  const warnings = [...(file.warnings ?? []), ...merged];
  printWarnings(values.json ? [] : warnings);
  if (values.json) terminal.print(JSON.stringify({ output, unmerge, modules: file.targets.map(moduleOf), warnings }));
  else terminal.print(`${output}: ${unmerge ? "without" : "with"} ${summary(file)}`);
}

function layoutNamed(name: string, kind: ModelKind): "in-out" | "out-in" {
  if (kind !== "safetensors")
    throw new UsageError("--weights is for safetensors; other models tell how their weights lie");
  if (name === "in-out" || name === "out-in") return name;
  throw new UsageError(`--weights takes in-out or out-in, not ${JSON.stringify(name)}`);
}

interface How {
  readonly unmerge: boolean;
  /** Whether what is at the output may be written over. */
  readonly overwrite: boolean;
}

/** What each kind's merging has to say, one sentence each. */
const MERGES: {
  readonly [K in ModelKind]: (model: string, output: string, file: LoraFile, how: How) => Promise<readonly string[]>;
} = {
  onnx: mergeOnnx,
  gguf: async (model, output, file, how) => (await mergeGguf(model, output, file, how)).warnings,
  safetensors: async (model, output, file, how) => (await mergeSafetensors(model, output, file, how)).warnings,
};

/** Of what is taken out again, the model has another fingerprint than the base that an adapter was made for. */
async function mergeOnnx(model: string, output: string, file: LoraFile, how: How): Promise<readonly string[]> {
  const { unmerge, overwrite } = how;
  await requireFile(model);
  await refuseLookalikeFile(model);
  refuseReplaced(file, "merging into .onnx");
  refuseParts(file.targets, "merging into .onnx", ["magnitude"]);
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
  return [];
}

function moduleOf(target: LoraTarget) {
  const { module, rank } = target;
  return { module, rank, scaling: scalingOf(target) };
}
