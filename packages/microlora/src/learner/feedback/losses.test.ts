import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { floats } from "../../base/samples.test-support.js";
import { KERNELS_NAMES } from "../../kernels/contract.js";
import { Runtime } from "../../kernels/runtime.js";
import { likingLoss, passedOver, ratingLoss, softmaxCrossEntropy, tripletMargin } from "./losses.js";
import { backThroughScores, placeItems, scoreItems } from "./scores.js";

type Loss = (scores: Float64Array, gradient: Float64Array) => number;

const LOSSES: Readonly<Record<string, Loss>> = {
  "softmax cross-entropy": (s, g) => softmaxCrossEntropy(s, 1 % s.length, 0.3, g),
  "softmax cross-entropy, cold": (s, g) => softmaxCrossEntropy(s, 0, 0.05, g),
  "passed over": (s, g) => passedOver(s, 0.2, g),
  "triplet margin": (s, g) => tripletMargin(s, 1 % s.length, 0.37, g),
  "thumbs, more than others": (s, g) => likingLoss(s, 0.6, 0.2, g),
  "thumbs up": (s, g) => ratingLoss(s, 1, 0.2, 0.3, g),
  "thumbs down": (s, g) => ratingLoss(s, -0.7, -0.1, 0.1, g),
};

describe.each(Object.keys(LOSSES))("%s", (name) => {
  const loss = LOSSES[name]!;
  const single = name.startsWith("thumbs");

  test("its gradient agrees with finite differences of its value", () => {
    const score = fc.double({ min: -1, max: 1, noNaN: true });
    const lists = fc.array(score, { minLength: 1, maxLength: single ? 1 : 9 });
    fc.assert(
      fc.property(lists, (list) => {
        const scores = Float64Array.from(list);
        const gradient = new Float64Array(scores.length);
        loss(scores, gradient);
        const h = 1e-6;
        for (const i of scores.keys()) {
          const moved = (by: number) =>
            loss(
              scores.map((s, j) => (i === j ? s + by : s)),
              new Float64Array(scores.length),
            );
          const [below, here, above] = [moved(-h), moved(0), moved(h)];
          // Where a margin is just reached, the loss has a kink, and no derivative.
          if (Math.abs(above - 2 * here + below) > 1e-3 * h) continue;
          expect(Math.abs((above - below) / (2 * h) - gradient[i]!)).toBeLessThan(1e-4 * (1 + Math.abs(gradient[i]!)));
        }
      }),
    );
  });

  test("nothing overflows, however far apart the scores are", () => {
    for (const scale of [0, 1, 1e3, 1e30]) {
      const scores = Float64Array.from({ length: single ? 1 : 5 }, (_, i) => scale * (i % 2 ? -1 : 1));
      const gradient = new Float64Array(scores.length);
      expect(Number.isFinite(loss(scores, gradient))).toBe(true);
      expect(gradient.every(Number.isFinite)).toBe(true);
    }
  });
});

test("the values, worked by hand", () => {
  const lossOf = (loss: Loss, ...scores: number[]) => loss(Float64Array.from(scores), new Float64Array(scores.length));
  // Probabilities of 1/4 and 3/4.
  expect(lossOf((s, g) => softmaxCrossEntropy(s, 0, 0.5, g), 0, 0.5 * Math.log(3))).toBeCloseTo(Math.log(4), 12);
  // 0.2 and 0.7 within the margin, the third beyond it.
  expect(lossOf((s, g) => tripletMargin(s, 0, 0.3, g), 0.5, 0.4, 0.9, -1)).toBeCloseTo(0.3, 12);
  // -log sigmoid(1), and half of -log sigmoid(-1).
  expect(lossOf((s, g) => ratingLoss(s, 1, 0.2, 0.3, g), 0.5)).toBeCloseTo(0.3132616875, 9);
  expect(lossOf((s, g) => ratingLoss(s, -0.5, 0.2, 0.3, g), 0.5)).toBeCloseTo(0.5 * 1.3132616875, 9);
});

test("a bad rating pushes the score down, less and less below the reference", () => {
  const slope = (score: number) => {
    const gradient = new Float64Array(1);
    ratingLoss(Float64Array.of(score), -1, 0, 0.1, gradient);
    return gradient[0]!;
  };
  expect(slope(0.5)).toBeGreaterThan(9);
  expect(slope(0)).toBeCloseTo(5, 9);
  expect(slope(-0.5)).toBeLessThan(0.1);
  expect(slope(-0.5)).toBeGreaterThan(0);
});

describe.each(KERNELS_NAMES)("scores, %s kernels", async (kernels) => {
  const runtime = await Runtime.create({ kernels, memoryBytes: 2 ** 20 });

  test.each(["dot", "cosine"] as const)("%s: the gradient at the output agrees with finite differences", (name) => {
    for (const n of [1, 3, 8, 17]) {
      const y = floats(n, 1, 2);
      const items = [2, 3, 4, 5].map((seed) => floats(n, seed, seed / 4));
      const block = runtime.allocate(3 * n);
      const [yAt, gradientAt, itemAt] = [block, block + 4 * n, block + 8 * n];
      // One of them lies in the memory already.
      const inMemory = runtime.view(itemAt, n);
      inMemory.set(items[1]!);
      const placed = placeItems(runtime, name, [items[0]!, inMemory, items[2]!, items[3]!], n);
      runtime.f32.set(y, yAt >>> 2);
      const [scores, slopes] = [new Float64Array(4), new Float64Array(4)];
      scoreItems(runtime, name, yAt, n, placed, scores);
      softmaxCrossEntropy(scores, 2, 0.4, slopes);
      backThroughScores(runtime, name, yAt, n, placed, scores, slopes, gradientAt);
      const loss64 = (at: Float64Array) => {
        const lengthOf = (v: ArrayLike<number>) => (name === "cosine" ? Math.hypot(...Array.from(v)) : 1);
        const exact = items.map(
          (item) => item.reduce((sum, v, i) => sum + v * at[i]!, 0) / (lengthOf(at) * lengthOf(item)),
        );
        return softmaxCrossEntropy(Float64Array.from(exact), 2, 0.4, new Float64Array(4));
      };
      for (let i = 0; i < n; i++) {
        const moved = (by: number) => loss64(Float64Array.from(y, (v, k) => (k === i ? v + by : v)));
        const difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        expect(Math.abs(difference - runtime.f32[(gradientAt >>> 2) + i]!)).toBeLessThan(1e-3);
      }
      runtime.free(block);
    }
  });
});
