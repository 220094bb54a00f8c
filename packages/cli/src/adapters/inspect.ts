import { parseArgs } from "node:util";
import { deltaNorm, type LoraFile, type LoraTarget, scalingOf } from "@microlora/formats";
import { kindOfPath, type ReadAdapter, readAdapter, readBaseModel } from "@microlora/formats/node";
import { ofFile } from "../refusal.js";
import { columns, printWarnings, type Terminal, visible } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";
import { FORMAT_TITLES, readingOptions } from "./arguments.js";
import { inspectOnnx } from "./inspect-onnx.js";
import { inspectTensors } from "./inspect-tensors.js";

export const INSPECT_USAGE = `Usage: microlora inspect FILE [options]

What an adapter file is and holds: modules, ranks, alpha, size, and the norm of what each module adds.
Of a model (.onnx): its modules, and whether each can be adapted and learned.
A folder is PEFT's or mlx-lm's; other files are told by their first bytes, else by their name.

  --json           one JSON object instead of a table
  --format NAME    read it as this: ${Object.keys(FORMAT_TITLES).join(", ")}
  --alpha N        alpha, where the file says none
  --adapter NAME   which adapter, where PEFT's keys name several
  --base FILE      the base model's config.json or GGUF, where the order of rows depends on it (torchtune)`;

/** The report on one file. */
export function describe({ format, file, byteLength }: ReadAdapter) {
  return {
    format,
    title: FORMAT_TITLES[format],
    byteLength,
    baseModel: file.baseModel,
    dropout: file.dropout,
    parameters: file.targets.reduce((sum, target) => sum + parametersOf(target), 0),
    modules: file.targets.map((target) => ({
      module: target.module,
      kind: target.kind,
      rank: target.rank,
      inFeatures: target.inFeatures,
      outFeatures: target.outFeatures,
      alpha: target.alpha,
      rsLora: target.rsLora,
      scaling: scalingOf(target),
      bias: target.bias !== undefined,
      dora: target.magnitude !== undefined,
      ...(target.kernel !== undefined && { kernel: target.kernel }),
      dtype: target.dtype,
      norm: deltaNorm(target),
    })),
    names: file.notes.get("layout") ?? null,
    replaced: [...file.replaced.keys()],
    carried: [...file.carried.keys()],
    warnings: file.warnings ?? [],
  };
}

/** @throws UsageError; FormatError */
export async function inspect(args: readonly string[], terminal: Terminal): Promise<void> {
  const { values, positionals } = parsed(() =>
    parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        format: { type: "string" },
        alpha: { type: "string" },
        adapter: { type: "string" },
        base: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }),
  );
  if (values.help) return terminal.print(INSPECT_USAGE);
  const [path, more] = positionals;
  if (path === undefined || more !== undefined) throw new UsageError(INSPECT_USAGE);
  const { base } = values;
  const options = {
    asStored: true,
    ...readingOptions({ ...values, from: values.format }),
    ...(base !== undefined && { base: await ofFile(base, () => readBaseModel(base)) }),
  };
  if (path.endsWith(".onnx")) return ofFile(path, () => inspectOnnx(path, values.json, terminal));
  // A file is a model's only where nobody says that it is an adapter.
  const isOneFile = path.endsWith(".safetensors") && (await kindOfPath(path)) === "file";
  if (
    isOneFile &&
    values.format === undefined &&
    (await ofFile(path, () => inspectTensors(path, values.json, terminal)))
  )
    return;
  const adapter = await ofFile(path, () => readAdapter(path, options));
  if (values.json) terminal.print(JSON.stringify(describe(adapter)));
  else for (const line of table(adapter)) terminal.print(line);
  if (!values.json) printWarnings(adapter.file.warnings ?? []);
}

function table(adapter: ReadAdapter): string[] {
  const { title, names, byteLength, baseModel, dropout, parameters, modules, replaced, carried } = describe(adapter);
  const count = modules.length;
  const rows = modules.map((module) => [
    module.module,
    kindOf(module),
    `${module.inFeatures} -> ${module.outFeatures}`,
    String(module.rank),
    `${short(module.alpha)}${module.rsLora ? " rs" : ""}`,
    module.dtype,
    short(module.norm),
  ]);
  return [
    `${title}${names === null ? "" : `, ${names}`}, ${byteLength} bytes`,
    `${count} ${count === 1 ? "module" : "modules"}, ${parameters} parameters${dropout > 0 ? `, dropout ${dropout}` : ""}`,
    ...(baseModel !== null ? [`for ${visible(baseModel)}`] : []),
    "",
    ...columns([["module", "kind", "shape", "rank", "alpha", "type", "norm"], ...rows.map((row) => row.map(visible))]),
    ...listed("whole tensors of the base, trained", replaced),
    ...listed("whole tensors of the base, frozen", carried),
  ];
}

function kindOf({ kind, kernel, bias, dora }: ReturnType<typeof describe>["modules"][number]): string {
  const sizes = kernel === undefined ? "" : ` ${kernel.join("x")}`;
  return `${kind}${sizes}${bias ? " + bias" : ""}${dora ? ", DoRA" : ""}`;
}

function listed(what: string, names: readonly string[]): string[] {
  return names.length === 0 ? [] : ["", `${what}: ${names.map(visible).join(", ")}`];
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function parametersOf({ loraA, loraB, bias, magnitude }: LoraTarget): number {
  return loraA.length + loraB.length + (bias?.length ?? 0) + (magnitude?.length ?? 0);
}

/** One line about an adapter. */
export function summary(file: LoraFile): string {
  const ranks = [...new Set(file.targets.map(({ rank }) => rank))].sort((a, b) => a - b);
  const count = file.targets.length;
  return `${count} ${count === 1 ? "module" : "modules"} of rank ${ranks.join(", ")}`;
}
