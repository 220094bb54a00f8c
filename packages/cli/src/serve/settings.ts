import { readFileSync } from "node:fs";
import { NUMBERS, type NumberOption, type ServiceOptions } from "@microlora/server";
import { UsageError } from "../usage-error.js";

/** Options that are texts, beside the numbers. */
const TEXTS = [
  "data",
  "database",
  "documents",
  "model",
  "host",
  "logLevel",
  "jwtIssuer",
  "jwtAudience",
  "jwtKeys",
] as const;
type TextOption = (typeof TEXTS)[number];

export const SETTINGS = [...TEXTS, ...(Object.keys(NUMBERS) as NumberOption[])];
export type Setting = TextOption | NumberOption;

/** `user-bytes` of `userBytes`. */
export function flagOf(setting: Setting): string {
  return setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `MICROLORA_USER_BYTES` of `userBytes`. */
export function variableOf(setting: Setting): string {
  return `MICROLORA_${flagOf(setting).replaceAll("-", "_").toUpperCase()}`;
}

/**
 * The settings of a service: of the command line, else of the environment, else of the configuration file.
 * @throws UsageError for a setting that does not exist, or a number that is none
 */
export function settingsOf(
  flags: Readonly<Record<string, string | undefined>>,
  environment: Readonly<Record<string, string | undefined>>,
): ServiceOptions {
  const path = flags.config ?? environment.MICROLORA_CONFIG;
  const file = path === undefined ? {} : readConfiguration(path);
  const entries = SETTINGS.flatMap((setting) => {
    const value = flags[flagOf(setting)] ?? environment[variableOf(setting)] ?? file[setting];
    return value === undefined ? [] : [[setting, typed(setting, value)]];
  });
  return { data: "./users", ...Object.fromEntries(entries) };
}

function typed(setting: Setting, value: unknown): string | number {
  if (!(setting in NUMBERS)) {
    if (typeof value === "string" && value !== "") return value;
    throw new UsageError(`${flagOf(setting)} is ${JSON.stringify(value)}. Pass a text`);
  }
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number === "number" && Number.isFinite(number)) return number;
  throw new UsageError(`${flagOf(setting)} is ${JSON.stringify(value)}. Pass a number`);
}

function readConfiguration(path: string): Readonly<Record<string, unknown>> {
  const settings = parsedFile(path);
  const unknown = Object.keys(settings).find((name) => !(SETTINGS as readonly string[]).includes(name));
  if (unknown === undefined) return settings;
  throw new UsageError(`${path}: there is no setting ${JSON.stringify(unknown)}; there are ${SETTINGS.join(", ")}`);
}

function parsedFile(path: string): Readonly<Record<string, unknown>> {
  try {
    const settings: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof settings === "object" && settings !== null && !Array.isArray(settings)) {
      return settings as Readonly<Record<string, unknown>>;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new UsageError(`${path}: is not a JSON object of settings`);
}
