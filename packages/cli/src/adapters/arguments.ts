import {
  FILE_FORMATS,
  FORMAT_NAMES,
  type FormatName,
  type ModuleRules,
  READ_ONLY_FORMATS,
  READABLE_FORMAT_NAMES,
  type ReadableFormatName,
} from "@microlora/formats";
import { UsageError } from "../usage-error.js";

function titles<K extends string>(formats: Readonly<Record<K, { readonly title: string }>>): Record<K, string> {
  const entries = Object.entries<{ readonly title: string }>(formats).map(([name, { title }]) => [name, title]);
  return Object.fromEntries(entries) as Record<K, string>;
}

/** Every format, and what it is called. */
export const FORMAT_TITLES: Readonly<Record<ReadableFormatName, string>> = {
  peft: "PEFT folder",
  mlx: "mlx-lm folder",
  ...titles(FILE_FORMATS),
  ...titles(READ_ONLY_FORMATS),
};

/** A format that adapters are written in. @throws UsageError */
export function formatNamed(name: string): FormatName {
  return oneOf(FORMAT_NAMES, name);
}

/** A format that adapters are read from. @throws UsageError */
export function readableFormatNamed(name: string): ReadableFormatName {
  return oneOf(READABLE_FORMAT_NAMES, name);
}

function oneOf<T extends string>(names: readonly T[], name: string): T {
  const format = names.find((known) => known === name);
  if (format !== undefined) return format;
  throw new UsageError(`There is no format ${JSON.stringify(name)}; there are ${names.join(", ")}`);
}

/** @throws UsageError */
export function numberOption(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new UsageError(`${name} takes a number, not ${JSON.stringify(text)}`);
}

/** Options of the commands that read an adapter, and choose among its modules. */
export const MODULE_OPTIONS = {
  from: { type: "string" },
  alpha: { type: "string" },
  adapter: { type: "string" },
  only: { type: "string", multiple: true },
  drop: { type: "string", multiple: true },
  rename: { type: "string", multiple: true },
} as const;

/** The same, as `--help` tells them. @param source what the command calls the adapter */
export const moduleUsage = (
  source: string,
) => `  --from NAME        what ${source} is: ${READABLE_FORMAT_NAMES.join(", ")}
  --alpha N          alpha, where ${source} says none
  --adapter NAME     which adapter, where PEFT's keys name several
  --only NAME        keep this module: its path, the end of it (q_proj), or a beginning that ends in a dot (model.layers.0.);
                     may be given again
  --drop NAME        leave this module out, named in the same way; may be given again
  --rename OLD=NEW   another name for a module; where OLD ends in a dot, another beginning of names; may be given again`;

interface ModuleValues {
  readonly from?: string | undefined;
  readonly alpha?: string | undefined;
  readonly adapter?: string | undefined;
  readonly only?: readonly string[] | undefined;
  readonly drop?: readonly string[] | undefined;
  readonly rename?: readonly string[] | undefined;
}

/** What `readAdapter` is told. @throws UsageError */
export function readingOptions({ from, alpha, adapter }: ModuleValues) {
  return {
    ...(from !== undefined && { format: readableFormatNamed(from) }),
    ...(alpha !== undefined && { alpha: numberOption("--alpha", alpha) }),
    ...(adapter !== undefined && { adapter }),
  };
}

/** Which modules to keep and what to call them. @throws UsageError */
export function moduleRules({ only = [], drop = [], rename = [] }: ModuleValues): ModuleRules {
  return { only, drop, rename: rename.map(renaming) };
}

function renaming(rule: string): readonly [old: string, name: string] {
  const [old, name, more] = rule.split("=");
  if (old === undefined || name === undefined || more !== undefined) {
    throw new UsageError(`--rename takes OLD=NEW, not ${JSON.stringify(rule)}`);
  }
  // A beginning may be empty on either side: nothing is put in its place, or it is put before every name.
  const isBeginning = old === "" || old.endsWith(".");
  const isName = name !== "" && !name.endsWith(".");
  if (isBeginning === isName || rule === "=") {
    throw new UsageError(
      `--rename takes a name for a name, or a beginning for a beginning that both end in a dot, not ${JSON.stringify(rule)}`,
    );
  }
  return [old, name];
}
