import { norm } from "../base/unit.js";
import { type Body, corrupt } from "../checkpoint/container.js";
import { count, finite } from "../checkpoint/fields.js";
import { PERSONALIZER_DEFAULTS } from "./personalizer-config.js";
import { type RecallConfig, type RecallState, VALUE_CODES } from "./recall.js";

/** What a file says of recall beside its numbers, and the numbers. */
interface ReadRecall {
  readonly config: RecallConfig;
  readonly state: RecallState;
}

/** The same of a file before version 4, whose rows were float32. */
export interface OldRecall extends ReadRecall {
  readonly bytes: number;
  readonly next: number;
  readonly size: number;
  /** Whether the file says how queries are merged. */
  readonly merging: boolean;
  /** Cosines between which a file of version 1 lets recall act; null in later ones. */
  readonly gate: { readonly from: number; readonly to: number } | null;
}

type Fields = Readonly<Record<string, unknown>>;

export function recallHeader(config: RecallConfig, { next, scales }: RecallState): object {
  const { rows, sharpness, strength, nullSimilarity, learningRate, mergeSimilarity } = config;
  return { rows, sharpness, strength, nullSimilarity, learningRate, mergeSimilarity, next, size: scales.length };
}

export function oldRecallHeader(config: RecallConfig, { bytes, next, size, merging, gate }: OldRecall): object {
  const { sharpness, strength, nullSimilarity, learningRate, mergeSimilarity } = config;
  if (gate !== null) return { bytes, sharpness, strength, gateFrom: gate.from, gateTo: gate.to, next, size };
  return { bytes, sharpness, strength, nullSimilarity, learningRate, ...(merging && { mergeSimilarity }), next, size };
}

/** Takes recall from a header that is not trusted yet; `checkRecall` is still to come. @throws MicroLoraError */
export function readRecall(fields: Fields, dimensions: number, body: Body): ReadRecall {
  const size = count(fields.size, "recall.size");
  return {
    config: configOf(fields, fields.rows as number),
    state: {
      next: count(fields.next, "recall.next"),
      scales: body.take(size, "recall.scales"),
      keys: body.takeInt8(size * dimensions, "recall.keys"),
      values: body.takeInt16(size * dimensions, "recall.values"),
    },
  };
}

/** The same of a file before version 4. @throws MicroLoraError */
export function readOldRecall(fields: Fields, dimensions: number, body: Body): OldRecall {
  const size = count(fields.size, "recall.size");
  const next = count(fields.next, "recall.next");
  const bytes = count(fields.bytes, "recall.bytes");
  const keys = body.take(size * dimensions, "recall.keys");
  const values = body.take(size * dimensions, "recall.values");
  const rows = Math.floor(bytes / (8 * dimensions));
  const gate = "gateFrom" in fields ? { from: gateEdge(fields, "gateFrom"), to: gateEdge(fields, "gateTo") } : null;
  const config = gate === null ? configOf(fields, rows) : gatedConfig(fields, rows, gate);
  checkOldRows(config, { size, next, keys, values }, dimensions);
  return {
    config,
    bytes,
    next,
    size,
    merging: "mergeSimilarity" in fields,
    gate,
    state: { next: size < rows ? 0 : next, ...quantised(config, keys, values, dimensions) },
  };
}

function configOf(fields: Fields, rows: number): RecallConfig {
  const { sharpness, strength, nullSimilarity, learningRate, mergeSimilarity = null } = fields;
  return { rows, sharpness, strength, nullSimilarity, learningRate, mergeSimilarity } as RecallConfig;
}

function gateEdge(fields: Fields, name: string): number {
  return finite(fields[name] as number, `recall.${name}`);
}

/**
 * Recall of version 1 faded in between two cosines and its values stayed as they were kept. A null key halfway between them fades in alike;
 * new clicks are learned from as they are by default.
 */
function gatedConfig(fields: Fields, rows: number, { from, to }: NonNullable<OldRecall["gate"]>): RecallConfig {
  const { learningRate, mergeSimilarity } = PERSONALIZER_DEFAULTS.recall;
  return { ...configOf(fields, rows), nullSimilarity: (from + to) / 2, learningRate, mergeSimilarity };
}

/** How far rounding may take the length of a kept vector from what it is meant to be. */
const TOLERANCE = 1e-3;

interface OldRows {
  readonly size: number;
  readonly next: number;
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

function checkOldRows({ rows, strength }: RecallConfig, { size, next, keys, values }: OldRows, n: number): void {
  const placed = size < rows ? next === size : next < Math.max(1, rows);
  if (size > rows || !placed) corrupt("recall", `holds ${size} clicks with the next at ${next}, of ${rows} that fit`);
  for (let row = 0; row < size; row++) {
    const part = (all: Float32Array) => norm(all.subarray(row * n, (row + 1) * n));
    const [key, value] = [part(keys), part(values)];
    if (!(Math.abs(key - 1) <= TOLERANCE)) corrupt(`recall.keys[${row}]`, `is of length ${key}, not 1`);
    if (!(value <= strength * (1 + TOLERANCE))) {
      corrupt(`recall.values[${row}]`, `is of length ${value}, more than ${strength}`);
    }
  }
}

function quantised(
  { strength }: RecallConfig,
  keys: Float32Array,
  values: Float32Array,
  n: number,
): Omit<RecallState, "next"> {
  const scales = new Float32Array(keys.length / n);
  for (const row of scales.keys()) {
    const key = keys.subarray(row * n, (row + 1) * n);
    scales[row] = key.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / MOST_KEY;
  }
  return {
    scales,
    keys: Int8Array.from(keys, (value, i) => Math.round(value / scales[Math.floor(i / n)]!)),
    values: Int16Array.from(values, (value) => Math.round((value / (strength || 1)) * VALUE_CODES)),
  };
}

const MOST_KEY = 127;

/** That of a unit vector with one number that is not 0, and rounding. */
const LARGEST_SCALE = 1.001 / MOST_KEY;

/** Refuses rows that recall could not have come to. @throws MicroLoraError `corrupt-checkpoint` */
export function checkRecall({ rows }: RecallConfig, { next, scales, keys, values }: RecallState, n: number): void {
  const typed = scales instanceof Float32Array && keys instanceof Int8Array && values instanceof Int16Array;
  if (!typed) corrupt("recall", "has no float32 scales, int8 keys and int16 values");
  const size = scales.length;
  const whole = size <= rows && keys.length === size * n && values.length === size * n;
  const placed = size < rows ? next === 0 : Number.isInteger(next) && next >= 0 && next < Math.max(1, rows);
  if (!whole || !placed) corrupt("recall", `holds ${size} queries with the next at ${next}, of ${rows} that fit`);
  for (let row = 0; row < size; row++) {
    const scale = scales[row]!;
    if (!(scale > 0 && scale <= LARGEST_SCALE)) corrupt(`recall.scales[${row}]`, `is ${scale}`);
    const part = <Codes extends Int8Array | Int16Array>(all: Codes) => all.subarray(row * n, (row + 1) * n);
    const key = scale * lengthOf(part(keys));
    // Each code is half a unit off at most.
    const rounding = 0.5 * scale * Math.sqrt(n) + TOLERANCE;
    if (!(Math.abs(key - 1) <= rounding)) corrupt(`recall.keys[${row}]`, `is of length ${key}, not 1`);
    const value = lengthOf(part(values));
    if (!(value <= VALUE_CODES * (1 + TOLERANCE) + 0.5 * Math.sqrt(n))) {
      corrupt(`recall.values[${row}]`, `is of length ${value / VALUE_CODES} of the most that it may be`);
    }
  }
}

function lengthOf(codes: Int8Array | Int16Array): number {
  let squares = 0;
  for (let i = 0; i < codes.length; i++) squares += codes[i]! * codes[i]!;
  return Math.sqrt(squares);
}
