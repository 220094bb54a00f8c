import { FILE_FORMATS, FORMAT_NAMES, type FormatName } from "@microlora/formats";
import { UsageError } from "../usage-error.js";

/** Every format, and what it is called. */
export const FORMAT_TITLES: Readonly<Record<FormatName, string>> = {
  peft: "PEFT folder",
  ...(Object.fromEntries(Object.entries(FILE_FORMATS).map(([name, { title }]) => [name, title])) as Record<
    keyof typeof FILE_FORMATS,
    string
  >),
};

/** @throws UsageError */
export function formatNamed(name: string): FormatName {
  const format = FORMAT_NAMES.find((known) => known === name);
  if (format !== undefined) return format;
  throw new UsageError(`There is no format ${JSON.stringify(name)}; there are ${FORMAT_NAMES.join(", ")}`);
}

/** @throws UsageError */
export function numberOption(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new UsageError(`${name} takes a number, not ${JSON.stringify(text)}`);
}

/** Other names for modules, by rules OLD=NEW. @throws UsageError */
export function renaming(rules: readonly string[]): (module: string) => string {
  const names = new Map(
    rules.map((rule) => {
      const [old, name, more] = rule.split("=");
      if (old && name && more === undefined) return [old, name] as const;
      throw new UsageError(`--rename takes OLD=NEW, not ${JSON.stringify(rule)}`);
    }),
  );
  return (module) => names.get(module) ?? module;
}
