import { refusal, shown } from "./errors.js";

/** Refuses anything but a Float32Array of exactly `length` elements. */
export function checkFloats(value: Float32Array, length: number, where: string): void {
  if (!(value instanceof Float32Array)) checkFloatsOfOtherRealm(value, where);
  if (value.length !== length) {
    throw refusal(
      "shape-mismatch",
      where,
      `has ${value.length} elements, ${length} expected`,
      "Pass a vector of the module's width",
    );
  }
}

function checkFloatsOfOtherRealm(value: unknown, where: string): void {
  const isFloats = ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === "[object Float32Array]";
  if (isFloats) return;
  throw refusal("shape-mismatch", where, "is not a Float32Array", "Convert it with Float32Array.from");
}

/** Refuses NaN and infinities. */
export function checkFinite(value: number, where: string): void {
  if (Number.isFinite(value)) return;
  throw refusal("not-finite", where, `is ${shown(value)}`, "Pass a finite number");
}

/** Refuses numbers outside [min, max], NaN among them. */
export function checkRange(value: number, min: number, max: number, where: string): void {
  checkFinite(value, where);
  if (value >= min && value <= max) return;
  throw refusal("out-of-range", where, `is ${value}`, `Pass a number in [${min}, ${max}]`);
}

/** Refuses anything but an integer in [0, max]. */
export function checkCount(value: number, max: number, where: string): void {
  checkRange(value, 0, max, where);
  if (Number.isInteger(value)) return;
  throw refusal("out-of-range", where, `is ${value}`, "Pass an integer");
}

/** Refuses arrays with a NaN or an infinity in them, and says where the first one is. */
export function checkAllFinite(values: Float32Array, where: string): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      throw refusal("not-finite", `${where}[${i}]`, `is ${values[i]}`, "Pass finite values only");
    }
  }
}

/** Refuses arrays with a number in them that is no square: negative or not finite. */
export function checkAllSquares(values: Float32Array, where: string): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) checkRange(value, 0, Number.MAX_VALUE, `${where}[${i}]`);
  }
}

/** Refuses a setting that makes no sense. @throws MicroLoraError `invalid-config` */
export function refuseConfig(where: string, value: unknown, remedy: string): never {
  throw refusal("invalid-config", where, `is ${shown(value)}`, remedy);
}

/** Options, none of them absent. */
export type Filled<Given, Defaults extends Readonly<Record<keyof Given, unknown>>> = {
  readonly [K in keyof Given]-?: undefined extends Given[K] ? Exclude<Given[K], undefined> | Defaults[K] : Given[K];
};

/**
 * Options as they were given, over their defaults, whose keys are all that there are.
 * @param where their name
 * @throws MicroLoraError `invalid-config` for what is no object, and for an option that does not exist
 */
export function withDefaults<Given extends object, Defaults extends Readonly<Record<keyof Given, unknown>>>(
  defaults: Defaults,
  given: Given | undefined,
  where = "config",
): Filled<Given, Defaults> {
  const options: Record<string, unknown> = { ...defaults };
  if (given !== undefined) checkObject(given, where);
  for (const key in given) {
    const value = given[key];
    if (!Object.hasOwn(defaults, key)) {
      refuseConfig(`${where}.${key}`, value, `Leave it out: there are ${Object.keys(defaults).join(", ")}`);
    }
    if (value !== undefined) options[key] = value;
  }
  return options as Filled<Given, Defaults>;
}

/** @throws MicroLoraError `invalid-config` */
export function checkObject(value: unknown, where: string): void {
  if (typeof value !== "object" || value === null) refuseConfig(where, value, "Pass an object");
}
