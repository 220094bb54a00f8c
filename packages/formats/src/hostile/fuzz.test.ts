import { MicroLoraError } from "microlora";
import { expect, test } from "vitest";
import { FormatError } from "../base/errors.js";
import { uniformFrom } from "../picture/pictures.test-support.js";
import { READERS } from "./readers.test-support.js";

// FUZZ is the number of inputs for each format, FUZZ_SEED where they begin: `FUZZ=10000000 npx vitest run fuzz`.
const INPUTS = Number(process.env.FUZZ ?? 10_000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

const SURPRISES = [0, 1, 2, 3, 7, 8, 31, 32, 64, 127, 128, 249, 250, 251, 252, 253, 254, 255];
const LARGE = [
  0n,
  1n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 62n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const TEXTS = [
  '"__proto__"',
  "[[[[[[",
  "}",
  "1e999",
  "-1",
  '"F16"',
  "null",
  "\u0000",
  "\\u0062",
  ".lora_a",
  ".lora_B.",
].map((text) => new TextEncoder().encode(text));

type Random = (below: number) => number;
type Mutation = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => {
    bytes[random(bytes.length)]! ^= 1 << random(8);
    return bytes;
  },
  (bytes, random) => {
    bytes[random(bytes.length)] = SURPRISES[random(SURPRISES.length)]!;
    return bytes;
  },
  (bytes, random) => {
    bytes[random(bytes.length)] = random(256);
    return bytes;
  },
  // A number of four or eight bytes, where such lie.
  (bytes, random) => {
    const at = 4 * random(Math.floor(bytes.length / 4) - 1);
    const value = LARGE[random(LARGE.length)]!;
    const view = new DataView(bytes.buffer);
    if (random(2) === 0) view.setBigUint64(at, value, true);
    else view.setUint32(at, Number(value & 0xffff_ffffn), true);
    return bytes;
  },
  // A number that is a little more, or less.
  (bytes, random) => {
    const at = random(bytes.length - 4);
    const view = new DataView(bytes.buffer);
    view.setUint32(at, view.getUint32(at, true) + random(65) - 32, true);
    return bytes;
  },
  (bytes, random) => bytes.subarray(0, random(bytes.length)),
  // A stretch left out.
  (bytes, random) => {
    const [from, length] = [random(bytes.length), 1 + random(64)];
    return concat(bytes.subarray(0, from), bytes.subarray(from + length));
  },
  // A stretch twice, or put elsewhere.
  (bytes, random) => {
    const [from, to, length] = [random(bytes.length), random(bytes.length), 1 + random(64)];
    return concat(bytes.subarray(0, to), bytes.subarray(from, from + length), bytes.subarray(to));
  },
  (bytes, random) => {
    const [from, to, length] = [random(bytes.length), random(bytes.length), 1 + random(64)];
    bytes.copyWithin(to, from, from + length);
    return bytes;
  },
  (bytes, random) => {
    bytes.set(TEXTS[random(TEXTS.length)]!, random(bytes.length - 16));
    return bytes;
  },
  // The beginning of one file and the end of another.
  (bytes, random, other) => concat(bytes.subarray(0, random(bytes.length)), other.subarray(random(other.length))),
];

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

test.each(Object.keys(READERS))(
  "%s: anything is read, or refused with its own error",
  { timeout: 86_400_000 },
  (name) => {
    const { read, good } = READERS[name]!;
    const seeds = good().filter((bytes) => bytes.length < 40_000);
    const uniform = uniformFrom(SEED);
    const random: Random = (below) => Math.floor(uniform() * below);
    const codes = new Map<string, number>();
    for (let i = 0; i < INPUTS; i++) {
      let bytes: Uint8Array = seeds[random(seeds.length)]!.slice();
      const other = seeds[random(seeds.length)]!;
      // Half of the mutations fall on the beginning, where the lengths and offsets are.
      const mutations = 1 + random(4);
      for (let k = 0; k < mutations && bytes.length > 32; k++) bytes = mutate(bytes, random, other);
      const code = outcome(() => read(bytes), i);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    // The mutations reach deep enough to tell, and not all of them matter.
    expect(codes.size, JSON.stringify([...codes])).toBeGreaterThan(3);
    expect(codes.get("read") ?? 0).toBeGreaterThan(0);
  },
);

function mutate(bytes: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  const mutation = MUTATIONS[random(MUTATIONS.length)]!;
  const near = random(2) === 0 ? Math.max(32, random(bytes.length)) : bytes.length;
  const low: Random = (below) => random(Math.min(below, near));
  return mutation(bytes.slice(), low, other);
}

function outcome(action: () => unknown, input: number): string {
  try {
    action();
    return "read";
  } catch (error) {
    if (error instanceof FormatError || error instanceof MicroLoraError) return error.code;
    throw new Error(`input ${input} of seed ${SEED}: ${String(error)}`, { cause: error });
  }
}
