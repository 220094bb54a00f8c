import { adamw, MicroLora, productEwc } from "microlora";
import { expect, test } from "vitest";
import { randomOf } from "../testing/models.test-support.js";
import { learnFrom } from "./learn.js";

const DIMENSIONS = { rank: 2, inFeatures: 5, outFeatures: 3, targetModules: ["m"] };

async function withGradient(learning: object) {
  const lora = await MicroLora.create({ ...DIMENSIONS, learning });
  const random = randomOf(3);
  const { loraA, loraB } = lora.getAdapter("m")!;
  for (let i = 0; i < loraB.length; i++) loraB[i] = random();
  const gradient = { loraA: loraA.map(() => random()), loraB: loraB.map(() => random()) };
  return { lora, gradient, all: new Map([[lora, new Map([["m", gradient]])]]) };
}

test("a step goes down the gradient, and keeps the Fisher information of it", async () => {
  const { lora, gradient, all } = await withGradient({ learningRate: 0.1, fisherDecay: 0.9 });
  const start = lora.getAdapter("m")!.loraA.slice();
  learnFrom(all, undefined);
  const adapter = lora.getAdapter("m")!;
  for (const [i, value] of adapter.loraA.entries()) expect(value).toBeCloseTo(start[i]! - 0.1 * gradient.loraA[i]!, 6);
  const fisher = adapter.learningBlock("fisherRunning")!;
  for (const [i, value] of gradient.loraB.entries()) {
    expect(fisher[gradient.loraA.length + i]).toBeCloseTo(0.1 * value ** 2, 6);
  }
  expect(adapter.pendingUpdates).toBe(0);
});

test("EWC pulls back to what was consolidated", async () => {
  const { lora, gradient, all } = await withGradient({ learningRate: 0.1, ewcLambda: 3 });
  learnFrom(all, undefined);
  lora.consolidate();
  const adapter = lora.getAdapter("m")!;
  const anchor = adapter.loraA.slice();
  for (let i = 0; i < anchor.length; i++) adapter.loraA[i]! += 0.5;
  const zeros = { loraA: gradient.loraA.map(() => 0), loraB: gradient.loraB.map(() => 0) };
  learnFrom(new Map([[lora, new Map([["m", zeros]])]]), undefined);
  for (const [i, value] of adapter.loraA.entries()) {
    const pull = 0.1 * 3 * 0.01 * gradient.loraA[i]! ** 2 * 0.5;
    expect(value).toBeCloseTo(anchor[i]! + 0.5 - pull, 6);
  }
});

test("the adapter's own optimiser makes the step", async () => {
  const { lora, gradient, all } = await withGradient({
    learningRate: 0.1,
    optimizer: adamw({ weightDecay: 0 }),
    ewcLambda: 0,
  });
  const start = lora.getAdapter("m")!.loraA.slice();
  learnFrom(all, undefined);
  for (const [i, value] of lora.getAdapter("m")!.loraA.entries()) {
    expect(value).toBeCloseTo(start[i]! - 0.1 * Math.sign(gradient.loraA[i]!), 4);
  }
});

test("a gradient without measure is refused, and nothing changes", async () => {
  const { lora, gradient, all } = await withGradient({});
  const before = lora.toBytes();
  gradient.loraB[0] = 1e30;
  expect(() => learnFrom(all, undefined)).toThrow(expect.objectContaining({ code: "update-overflow" }));
  expect(lora.toBytes()).toEqual(before);
});

test("a gradient that is there as a whole teaches no product", async () => {
  const { lora, all } = await withGradient({ ewc: productEwc() });
  const before = lora.toBytes();
  expect(() => learnFrom(all, undefined)).toThrow(expect.objectContaining({ code: "invalid-config" }));
  expect(lora.toBytes()).toEqual(before);
});

test("several adapters learn together or not at all, and none beyond float32", async () => {
  const { lora, all } = await withGradient({});
  const { lora: far, gradient } = await withGradient({ learningRate: 1e30 });
  gradient.loraA.fill(1e17);
  const states = [lora, far].map((each) => each.toBytes());
  const both = new Map([...all, [far, new Map([["m", gradient]])] as const]);
  expect(() => learnFrom(both, undefined)).toThrow(expect.objectContaining({ code: "update-overflow" }));
  expect([lora, far].map((each) => each.toBytes())).toEqual(states);
});
