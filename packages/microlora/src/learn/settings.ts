import { refuseConfig } from "../base/check.js";

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
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(bounds, key))
      refuseConfig(`${name}.${key}`, given[key], "Leave it out: there is no such setting");
  }
  const settings = Object.entries<readonly [number, number, number]>(bounds).map(([key, [least, most, byDefault]]) => {
    const value = given[key] ?? byDefault;
    if (!(typeof value === "number" && value >= least && value <= most)) {
      refuseConfig(`${name}.${key}`, value, `Pass a number in [${least}, ${most}]`);
    }
    return [key, value === 0 ? 0 : value];
  });
  return Object.fromEntries(settings) as Record<Key, number>;
}
