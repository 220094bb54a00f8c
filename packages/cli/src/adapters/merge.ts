import { parseArgs } from "node:util";
import { mergeSafetensors, readAdapter } from "@microlora/formats/node";
import type { Terminal } from "../terminal.js";
import { UsageError } from "../usage-error.js";
import { numberOption, parsed } from "./arguments.js";
import { summary } from "./inspect.js";

export const MERGE_USAGE = `Usage: microlora merge MODEL ADAPTER OUT [options]

Writes the model's safetensors file with the adapter merged into its weights, a few megabytes in memory at a time.
A folder is a model in several files.

  --unmerge          subtract what merging added
  --weights LAYOUT   how linear weights lie, out-in or in-out; by default as the adapter's file or the model's shapes tell
  --alpha N          alpha, where ADAPTER says none`;

/** @throws UsageError; FormatError */
export async function merge(args: readonly string[], terminal: Terminal): Promise<void> {
  const { values, positionals } = parsed(() =>
    parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        unmerge: { type: "boolean", default: false },
        weights: { type: "string" },
        alpha: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }),
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
  const { file } = await readAdapter(adapter, {
    ...(values.alpha !== undefined && { alpha: numberOption("--alpha", values.alpha) }),
  });
  await mergeSafetensors(model, output, file, { unmerge: values.unmerge, ...(weightLayout && { weightLayout }) });
  terminal.print(`${output}: ${values.unmerge ? "without" : "with"} ${summary(file)}`);
}
