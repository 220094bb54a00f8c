import { refuseConfig, withDefaults } from "../../base/check.js";
import { unsignedZero } from "../config.js";

/** Numbers with their bounds: [least, most, default]. */
export type Bounds<Key extends string> = Readonly<
  Record<Key, readonly [least: number, most: number, byDefault: number]>
>;

/** Settings of a method with its defaults filled in, in one order. @throws MicroLoraError `invalid-config` */
export function settingsOf<Key extends string>(
  name: string,
  bounds: Bounds<Key>,
  given: Readonly<Partial<Record<string, number>>>,
): Readonly<Record<Key, number>> {
  const rows = Object.entries<readonly [number, number, number]>(bounds);
  const defaults = Object.fromEntries(rows.map(([key, [, , byDefault]]) => [key, byDefault]));
  const all = withDefaults(defaults, given, name);
  const settings = rows.map(([key, [least, most]]) => {
    const value = all[key];
    if (!(typeof value === "number" && value >= least && value <= most)) {
      refuseConfig(`${name}.${key}`, value, `Pass a number in [${least}, ${most}]`);
    }
    return [key, unsignedZero(value)];
  });
  return Object.fromEntries(settings) as Record<Key, number>;
}

/** Settings of a checkpoint, in which none may be missing. @throws MicroLoraError `invalid-config` */
export function savedSettings<Key extends string>(
  name: string,
  bounds: Bounds<Key>,
  saved: Readonly<Partial<Record<string, number>>>,
): Readonly<Record<Key, number>> {
  for (const key of Object.keys(bounds)) {
    if (typeof saved[key] !== "number") refuseConfig(`${name}.${key}`, saved[key], "Restore the file from a copy");
  }
  return settingsOf(name, bounds, saved);
}
