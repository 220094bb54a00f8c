import { describe, expect, test } from "vitest";
import { MicroLora } from "../adapter/micro-lora.js";
import { expectRefusal, expectRejection, expectSameBytes, thrownBy } from "../base/refusals.test-support.js";
import { floats, uniformFrom } from "../base/samples.test-support.js";
import { forge, partsOf, withHeader } from "../checkpoint/forge.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { Runtime } from "../kernels/runtime.js";
import { decodePersonalizer } from "./codec.js";
import { Personalizer } from "./personalizer.js";
import type { PersonalizerConfig } from "./personalizer-config.js";

const N = 6;
const DOCUMENTS = Array.from({ length: 10 }, (_, j) => floats(N, j + 100));
const clickAt = (k: number) => ({ query: floats(N, k), chosen: DOCUMENTS[k % 10]!, shown: DOCUMENTS });

function learn(personalizer: Personalizer, from: number, to: number): void {
  for (let k = from; k < to; k++) personalizer.learn(clickAt(k));
}

const KINDS: readonly Omit<PersonalizerConfig, "dimensions">[] = [
  {},
  { slow: false, recall: { rows: 4 } },
  { recall: false, slow: { rank: 3, bias: false } },
  { slow: false, recall: false, items: false },
  { recall: { rows: 0 }, temperature: 0.5 },
  { seed: 9, baseModel: "static@3", recall: { rows: 3 }, slow: { rank: 2, gated: false } },
];

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test.each(KINDS)("comes back whole, with the same answers, and learns on bit for bit: %o", async (kind) => {
    for (const clicks of [0, 2, 9]) {
      using personalizer = await Personalizer.create({ dimensions: N, kernels, ...kind });
      learn(personalizer, 0, clicks);
      personalizer.consolidate();
      learn(personalizer, 20, 20 + clicks);
      personalizer.enabled = clicks !== 2;
      const bytes = personalizer.toBytes();
      using back = await Personalizer.fromBytes(bytes, { kernels });
      expect(back.config).toEqual(personalizer.config);
      expectSameBytes(back.toBytes(), bytes);
      expect([...back.transform(floats(N, 3))]).toEqual([...personalizer.transform(floats(N, 3))]);
      learn(personalizer, 40, 45);
      learn(back, 40, 45);
      expectSameBytes(back.toBytes(), personalizer.toBytes());
    }
  });

  test("a fork has what is general, nothing else, and the two are apart from then on", async () => {
    using prior = await Personalizer.create({ dimensions: N, kernels, slow: { gated: false } });
    learn(prior, 0, 5);
    const bytes = prior.toBytes();
    using fork = await Personalizer.forkFrom(prior);
    const { slow, recall, items, clicks } = fork.exportState();
    expect(slow!.adapters[0]!.bias).toEqual(prior.exportState().slow!.adapters[0]!.bias);
    expect({ kept: recall!.scales.length, counts: items!.counts, clicks }).toEqual({ kept: 0, counts: [], clicks: 0 });
    learn(fork, 5, 9);
    expectSameBytes(prior.toBytes(), bytes);
    const forked = fork.toBytes();
    learn(prior, 9, 12);
    prior[Symbol.dispose]();
    expectSameBytes(fork.toBytes(), forked);
  });
});

describe("a prior of many", () => {
  test("is the mean of what is general in each, read one at a time", async () => {
    const biases: Float32Array[] = [];
    async function* people(count: number) {
      for (let k = 0; k < count; k++) {
        using user = await Personalizer.create({ dimensions: N, slow: { gated: false } });
        learn(user, 3 * k, 3 * k + 3);
        biases.push(user.slow!.getAdapter("query")!.bias!.slice());
        yield user;
      }
    }
    using prior = await Personalizer.priorOf(people(20));
    const mean = floats(N, 0).map((_, i) => biases.reduce((sum, bias) => sum + bias[i]!, 0) / 20);
    expect(prior.exportState().slow!.adapters[0]!.bias).toEqual(mean);
    expect(prior.exportState()).toMatchObject({ clicks: 0, items: { counts: [] }, recall: { next: 0 } });
    await expectRejection(Personalizer.priorOf(people(19)), "out-of-range", "users");
  });

  test("needs people who have something general", async () => {
    using user = await Personalizer.create({ dimensions: N, slow: false });
    await expectRejection(Personalizer.priorOf(Array(20).fill(user)), "invalid-config", "users[0]");
  });
});

test("asking changes nothing", async () => {
  using personalizer = await Personalizer.create({ dimensions: N });
  learn(personalizer, 0, 3);
  const bytes = personalizer.toBytes();
  for (let k = 0; k < 5; k++) personalizer.transform(floats(N, k));
  expectSameBytes(personalizer.toBytes(), bytes);
});

test.each([{}, { slow: false as const }, { recall: false as const }])(
  "another base model is refused: %o",
  async (kind) => {
    using personalizer = await Personalizer.create({ dimensions: N, baseModel: "a", ...kind });
    const bytes = personalizer.toBytes();
    await expectRejection(Personalizer.fromBytes(bytes, { baseModel: "b" }), "wrong-base", "baseModel");
    (await Personalizer.fromBytes(bytes, { baseModel: "b", allowWrongBase: true }))[Symbol.dispose]();
    (await Personalizer.fromBytes(bytes, { baseModel: "a" }))[Symbol.dispose]();
  },
);

describe("hostile files", () => {
  const small = async (): Promise<Uint8Array> => {
    using personalizer = await Personalizer.create({
      dimensions: 2,
      slow: { rank: 1, bias: false },
      recall: { rows: 3, mergeSimilarity: null },
    });
    for (let k = 0; k < 4; k++) {
      personalizer.learn({ query: floats(2, k), chosen: floats(2, 1), shown: [floats(2, 1), floats(2, 2)] });
    }
    return personalizer.toBytes();
  };

  test("every truncation and 2,000 bursts of flipped bits are refused", async () => {
    const file = await small();
    for (let length = 0; length < file.length; length++) {
      expectRefusal(() => decodePersonalizer(file.subarray(0, length)), "truncated-checkpoint");
    }
    const uniform = uniformFrom(1);
    for (let k = 0; k < 2000; k++) {
      const flipped = file.slice();
      flipped[Math.floor(uniform() * file.length)]! ^= 1 << Math.floor(uniform() * 8);
      expect(() => decodePersonalizer(flipped)).toThrow(expect.objectContaining({ name: "MicroLoraError" }));
    }
  });

  // biome-ignore lint/suspicious/noExplicitAny: headers that lie have no type
  const LIES: Readonly<Record<string, (header: any) => void>> = {
    "no width": (header) => delete header.dimensions,
    "another width": (header) => Object.assign(header, { dimensions: 4 }),
    "a huge width": (header) => Object.assign(header, { dimensions: 2 ** 20 }),
    "a width that is no number": (header) => Object.assign(header, { dimensions: { toString: 1 } }),
    "a temperature of 0": (header) => Object.assign(header, { temperature: 0 }),
    "recall of too many queries": (header) => Object.assign(header.recall, { size: 4, next: 0 }),
    "recall of a huge size": (header) => Object.assign(header.recall, { size: 2 ** 52 }),
    "a next row that is none": (header) => Object.assign(header.recall, { next: 3 }),
    "no room for its queries": (header) => Object.assign(header.recall, { rows: 0 }),
    "a null key without a similarity": (header) => Object.assign(header.recall, { nullSimilarity: null }),
    "a negative rate of recall": (header) => Object.assign(header.recall, { learningRate: -1 }),
    "a negative sharpness": (header) => Object.assign(header.recall, { sharpness: -1 }),
    "no weight of items": (header) => Object.assign(header.items, { weight: null }),
    "an item that was never chosen": (header) => Object.assign(header.items, { counts: [["a", 0]] }),
    "an item twice": (header) =>
      Object.assign(header.items, {
        counts: [
          ["a", 1],
          ["a", 2],
        ],
      }),
    "an item of no id": (header) => Object.assign(header.items, { counts: [[{}, 1]] }),
    "too many items": (header) =>
      Object.assign(header.items, {
        counts: DOCUMENTS.flatMap((_, i) => Array.from({ length: 13 }, (_, j) => [`${i}.${j}`, 1])),
      }),
    "ratings that do not add up": (header) => Object.assign(header.ratings, { sum: 3 }),
    "a weight of scores out of range": (header) => Object.assign(header, { scoreWeight: 2 }),
    "recall as a list": (header) => Object.assign(header, { recall: [] }),
    "no recall": (header) => Object.assign(header, { recall: null }),
    "no slow weights": (header) => Object.assign(header, { slow: null }),
    "another module": (header) => Object.assign(header.slow.config.modules[0], { module: "other" }),
    "half a click": (header) => Object.assign(header, { clicks: 0.5 }),
    "a base model that is no text": (header) => Object.assign(header, { baseModel: 1 }),
    "a field too many": (header) => Object.assign(header, { note: 1 }),
  };

  test.each(Object.keys(LIES))("a signed file with %s is refused", async (lie) => {
    const lying = withHeader(await small(), (header) => void LIES[lie]!(header));
    expectRefusal(() => decodePersonalizer(lying), "corrupt-checkpoint");
  });

  test("scales that are not finite, or give a key a length that none has, are refused", async () => {
    const parts = partsOf(await small());
    for (let i = 0; i < 3; i++) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 3e38, 5, 0, -0.01]) {
        const lying = { ...parts, floats: parts.floats.slice() };
        lying.floats[i] = value;
        expectRefusal(() => decodePersonalizer(forge(lying)), "corrupt-checkpoint");
      }
    }
  });

  test("codes of a length that nothing kept has, and padding that is not zeros, are refused", async () => {
    const parts = partsOf(await small());
    // Three scales, then three keys of two codes each in eight bytes, then as many values in twelve.
    for (const [at, byte] of [
      [12, 0],
      [18, 1],
      [21, 127],
      [23, 127],
    ] as const) {
      const lying = { ...parts, floats: parts.floats.slice() };
      new Uint8Array(lying.floats.buffer)[at] = byte;
      expectRefusal(() => decodePersonalizer(forge(lying)), "corrupt-checkpoint");
    }
  });
});

describe("memory", () => {
  test("thousands live in one process, and give everything back", async () => {
    const runtime = await Runtime.create({ memoryBytes: 64 * 2 ** 20 });
    const make = () => Personalizer.create({ dimensions: 32, runtime, recall: { rows: 8, nullSimilarity: -1 } });
    const click = { query: floats(32, 1), chosen: floats(32, 2), shown: [floats(32, 2), floats(32, 3)] };
    const first = await make();
    first.learn(click);
    first[Symbol.dispose]();
    const start = runtime.usedBytes;
    const users: Personalizer[] = [];
    for (let k = 0; k < 5000; k++) {
      const user = await make();
      user.learn({ ...click, query: floats(32, k) });
      users.push(user);
    }
    const apart = new Set(users.map((user) => user.transform(click.query).join()));
    expect(apart.size).toBeGreaterThan(100);
    for (const user of users) user[Symbol.dispose]();
    expect(runtime.usedBytes).toBe(start);
  });

  test("one that does not fit is refused and leaves nothing behind", async () => {
    const donor = await Personalizer.create({ dimensions: 64, recall: { rows: 80 } });
    donor.learn({ query: floats(64, 1), chosen: floats(64, 2), shown: [floats(64, 2), floats(64, 3)] });
    const state = donor.exportState();
    donor[Symbol.dispose]();
    let refusals = 0;
    for (let left = 0; left < 2_000; left += 20) {
      const runtime = await Runtime.create({ memoryBytes: 131_072 });
      for (const scratch of Object.values(runtime.scratch)) scratch.reserve(512);
      (await Personalizer.create({ dimensions: 64, runtime })).close();
      const kept = runtime.allocate(left);
      while (thrownBy(() => runtime.allocate(4)) === undefined);
      runtime.free(kept);
      const before = runtime.usedBytes;
      for (const make of [
        () => Personalizer.create({ dimensions: 64, runtime }),
        () => Personalizer.fromState(state, { runtime }),
      ]) {
        const personalizer = await make().catch((error: unknown) => {
          expect(error).toMatchObject({ name: "MicroLoraError", code: "memory-full" });
          refusals++;
        });
        personalizer?.[Symbol.dispose]();
        expect(runtime.usedBytes).toBe(before);
      }
    }
    expect(refusals).toBeGreaterThan(10);
  });

  test("recall that has no room is refused at the first click, which changes nothing", async () => {
    const runtime = await Runtime.create({ memoryBytes: 65_536 });
    using personalizer = await Personalizer.create({ dimensions: N, runtime });
    while (thrownBy(() => runtime.allocate(4)) === undefined);
    const before = personalizer.toBytes();
    expectRefusal(() => learn(personalizer, 0, 1), "memory-full");
    expectSameBytes(personalizer.toBytes(), before);
    expect([...personalizer.transform(floats(N, 1))]).toEqual([...floats(N, 1)]);
  });
});

test.each([
  { dimensions: 0 },
  { dimensions: 1.5 },
  { dimensions: Number.NaN },
  { temperature: 0 },
  { temperature: Number.NaN },
  { slow: { rank: 0, bias: false } },
  { slow: { learningRate: Number.NaN } },
  { recall: { rows: -1 } },
  { recall: { rows: 1.5 } },
  { recall: { strength: 0 } },
  { items: 1 as never },
  { recall: { sharpness: Number.POSITIVE_INFINITY } },
  { recall: { nullSimilarity: Number.NaN } },
  { recall: { learningRate: -1 } },
])("a configuration is refused: %o", async (wrong) => {
  const creation = Personalizer.create({ dimensions: N, ...wrong });
  await expect(creation).rejects.toMatchObject({ name: "MicroLoraError" });
  await expect(creation).rejects.not.toMatchObject({ code: "memory-full" });
});

test("the file of its slow weights alone is a MicroLora's", async () => {
  using personalizer = await Personalizer.create({ dimensions: N });
  learn(personalizer, 0, 3);
  using slow = await MicroLora.fromBytes(personalizer.slow!.toBytes());
  expectSameBytes(slow.toBytes(), personalizer.slow!.toBytes());
});
