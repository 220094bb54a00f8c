import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MicroLora } from "./adapter/micro-lora.js";
import { expectSameBytes } from "./base/refusals.test-support.js";
import { METHODS } from "./learner/all-methods.js";
import { loss64 } from "./learner/feedback/reference.test-support.js";
import { Learner } from "./learner/learner.js";
import { Personalizer } from "./search/personalizer.js";

// Files of older versions with what the commits that wrote them answered: scripts/goldens/checkpoints/make.sh.
const FOLDER = join(import.meta.dirname, "goldens");
const OPTIONS = { methods: METHODS, baseModel: "golden", kernels: "simd" } as const;

type Answers = Readonly<Record<string, number | readonly number[]>>;

function golden(name: string, version: number): { readonly bytes: Uint8Array; readonly answers: Answers } {
  const expected = JSON.parse(readFileSync(join(FOLDER, `expected-${version}.json`), "utf8"));
  return { bytes: readFileSync(join(FOLDER, `${name}-${version}.mlora`)), answers: expected[name] };
}

/** The numbers of the script that wrote the files. */
function floats(length: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function expectClose(seen: ArrayLike<number>, wanted: number | readonly number[] | undefined, tolerance = 1e-5): void {
  const numbers = [wanted].flat() as number[];
  expect(seen.length).toBe(numbers.length);
  for (const [i, number] of numbers.entries()) expect(Math.abs(seen[i]! - number)).toBeLessThanOrEqual(tolerance);
}

const MICRO_LORAS = [
  ["micro-lora", 1],
  ["micro-lora", 2],
  ["adamw-rwalk", 2],
  ["momentum-product", 2],
  ["micro-lora", 3],
  ["adamw-rwalk", 3],
  ["momentum-product", 3],
  ["ranks", 3],
] as const;

describe.each(MICRO_LORAS)("%s of version %i", (name, version) => {
  test("answers and learns on as it did then, and goes on in the version of now", async () => {
    const { bytes, answers } = golden(name, version);
    using first = await MicroLora.fromBytes(bytes, OPTIONS);
    const again = first.toBytes();
    using second = await MicroLora.fromBytes(again, OPTIONS);
    expectSameBytes(second.toBytes(), again);
    for (const lora of [first, second]) {
      const x = floats(6, 50);
      expectClose(lora.forward(x, "a"), answers.before);
      expectClose(lora.forward(x, "b"), answers.other);
      const taught = floats(6, 60);
      lora.forward(taught, "a");
      const { gradientNorm } = lora.learn(taught, { gradient: floats(5, 160), module: "a" });
      expectClose([gradientNorm!], answers.gradientNorm);
      expectClose(lora.forward(x, "a"), answers.after);
      expect(lora.adaptationCount).toBe(answers.count);
    }
  });
});

test.each([2, 3])("a Learner of version %i answers late feedback as it did then", async (version) => {
  const { bytes, answers } = golden("learner", version);
  using learner = await Learner.fromBytes(bytes, OPTIONS);
  const items = [1, 2, 3].map((k) => floats(5, 200 + k));
  const x = floats(6, 50);
  expectClose(learner.lora.forward(x, "a"), answers.before);
  // Held back, and then told the loss of a replayed example; now it is that of the click.
  const late = learner.learn("late", { chosen: items[1]!, shown: items }, 2000);
  expect(late).toMatchObject({ reason: "held-back", boundary: true, rolledBack: true });
  expect(late.loss).toBeCloseTo(loss64(floats(5, 330), items, 1, 0.3), 5);
  const request = { x: floats(6, 31), output: floats(5, 331) };
  expectClose([learner.learn(request, { chosen: items[2]!, shown: items }, 2001).loss!], answers.next);
  expectClose(learner.lora.forward(x, "a"), answers.after);
});

test.each([1, 2, 3])(
  "a Personalizer of version %i has its clicks, and its slow weights as they were",
  async (version) => {
    const { bytes, answers } = golden("personalizer", version);
    using user = await Personalizer.fromBytes(bytes, OPTIONS);
    expect(user.clicks).toBe(answers.clicks);
    expect(user.exportState().recall!.scales).toHaveLength(9);
    expectClose(user.slow!.forward(floats(8, 503), "query"), answers.slow);
    // Routing below a hundredth counts as none since version 4, and rows have fewer bits; version 1 had a gate in place of a null key.
    const tolerance = version === 1 ? 0.15 : 0.02;
    expectClose(user.transform(floats(8, 503)), answers.near, tolerance);
    expectClose(user.transform(floats(8, 900)), answers.far, tolerance);
    const again = user.toBytes();
    using second = await Personalizer.fromBytes(again, OPTIONS);
    expectSameBytes(second.toBytes(), again);
    expect([...second.transform(floats(8, 503))]).toEqual([...user.transform(floats(8, 503))]);
    user.learn({ query: floats(8, 503), chosen: floats(8, 400), shown: [floats(8, 400), floats(8, 401)] });
  },
);
