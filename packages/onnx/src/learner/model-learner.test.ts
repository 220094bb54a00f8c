import { adamw, everyRequests, type MicroLora } from "microlora";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tokenNll } from "../index.js";
import type { LoraModel } from "../model/lora-model.js";
import type { GradientRequest } from "../model/options.js";
import { feedsOf, openFixture } from "../testing/models.test-support.js";
import { ModelLearner, type ModelLearnerConfig } from "./model-learner.js";

let model: LoraModel;
beforeAll(async () => {
  model = await openFixture("gpt2-legacy", { targets: ["q_proj", "v_proj", "c_fc"] });
});
afterAll(() => model[Symbol.asyncDispose]());

/** A text of tokens to say, or, with a weight of -1, to unlearn. */
function request(seed: number, weight = 1): GradientRequest {
  const feeds = feedsOf("gpt2-legacy", 1, 6, seed);
  return { feeds, loss: tokenNll({ labels: feeds.input_ids!, weights: [weight] }) };
}

async function learnerOf(config: ModelLearnerConfig, learning: object = { learningRate: 0.2 }) {
  const adapter = await model.createAdapter({ learning });
  return { adapter, learner: new ModelLearner(model, adapter, config) };
}

const weightsOf = (adapter: MicroLora) =>
  adapter.config.modules.flatMap(({ module }) => {
    const { loraA, loraB } = adapter.getAdapter(module)!;
    return [loraA.slice(), loraB.slice()];
  });

test("without settings it learns as the model does", async () => {
  const { adapter, learner } = await learnerOf({});
  const other = await model.createAdapter({ learning: { learningRate: 0.2 } });
  const { loss, gradientNorm } = await model.learn(request(1), { adapter: other });
  expect(await learner.learn(request(1))).toEqual({
    applied: true,
    reason: null,
    loss,
    gradientNorm,
    boundary: false,
    rolledBack: false,
  });
  expect(weightsOf(adapter)).toEqual(weightsOf(other));
});

test("undo and rollback bring the adapter back, optimiser and all", async () => {
  const { adapter, learner } = await learnerOf({ undo: 2 }, { learningRate: 0.01, optimizer: adamw() });
  await learner.learn(request(1));
  const first = adapter.exportState().adapters;
  for (const seed of [2, 3]) await learner.learn(request(seed));
  const third = learner.snapshot();
  expect(await learner.undo(5)).toBe(2);
  expect(adapter.exportState().adapters).toEqual(first);
  await learner.rollback(third);
  expect(adapter.exportState().adapters).toEqual(third);
  await expect(learner.rollback(third.slice(1))).rejects.toMatchObject({ code: "corrupt-checkpoint" });
  expect(adapter.exportState().adapters).toEqual(third);
});

describe("the guard", () => {
  const guard = { hold: 8, share: 2, every: 4, strictness: 0 };

  test("takes back what makes the loss of what it holds worse, and promotes what does not", async () => {
    const { adapter, learner } = await learnerOf({ guard });
    const promoted: unknown[] = [];
    let before = learner.report().guard!;
    // Every second request is held back: those are texts to say, while what is learned from turns against them.
    for (let i = 0; i < 32; i++) {
      const held = i % 2 === 1;
      const { reason, rolledBack } = await learner.learn(request(1 + (i % 3), held || i < 16 ? 1 : -1));
      expect(reason).toBe(held ? "held-back" : null);
      const after = learner.report().guard!;
      if (after.promoted > before.promoted) promoted.push(weightsOf(adapter));
      if (rolledBack) expect(weightsOf(adapter)).toEqual(promoted.at(-1));
      before = after;
    }
    expect(before.promoted).toBeGreaterThan(0);
    expect(before.rejected).toBeGreaterThan(0);
  });

  test("compares the losses that the model itself gives", async () => {
    const { adapter, learner } = await learnerOf({ guard: { ...guard, every: 8 } });
    const start = await model.createAdapter();
    const held = [2, 4, 6, 8, 10, 12, 14].map((seed) => request(seed));
    for (let i = 0; i < 14; i++) await learner.learn(i % 2 === 1 ? held[(i - 1) / 2]! : request(i, -1));
    const meanOf = async (of: MicroLora) => {
      let sum = 0;
      for (const each of held) sum += (await model.gradients(each, { adapter: of })).loss;
      return sum / held.length;
    };
    const worse = (await meanOf(adapter)) > (await meanOf(start));
    const { rolledBack } = await learner.learn(request(14, -1));
    expect(rolledBack).toBe(worse);
    expect(worse).toBe(true);
    expect(weightsOf(adapter)).toEqual(weightsOf(start));
  });
});

test("replay learns from earlier requests again", async () => {
  const { learner } = await learnerOf({ replay: { perUpdate: 2, bytes: 4096 } });
  for (let i = 0; i < 4; i++) await learner.learn(request(i + 1));
  const { updates, replay } = learner.report();
  expect(updates).toBe(4 + 3 * 2); // nothing to draw at the first
  expect(replay!.count).toBe(4);
  expect(replay!.bytes).toBe(4 * (128 + 2 * 6 * 8));
});

test("a boundary consolidates: the anchor is at the weights of then", async () => {
  const { adapter, learner } = await learnerOf({ boundary: everyRequests(3) });
  const boundaries: boolean[] = [];
  for (let i = 0; i < 3; i++) boundaries.push((await learner.learn(request(i + 1))).boundary);
  expect(boundaries).toEqual([false, false, true]);
  for (const { module } of adapter.config.modules) {
    const { loraA, loraB } = adapter.getAdapter(module)!;
    expect([...adapter.getAdapter(module)!.learningBlock("anchor")!]).toEqual([...loraA, ...loraB]);
  }
});

test("the delta of each module stays within its limit", async () => {
  const { adapter, learner } = await learnerOf({ maxDelta: 1e-3 });
  for (let i = 0; i < 6; i++) await learner.learn(request(1));
  expect(learner.report().limited).toBeGreaterThan(0);
  for (const { module } of adapter.config.modules) {
    const { loraA, loraB, rank, inFeatures, outFeatures, scaling } = adapter.getAdapter(module)!;
    let squares = 0;
    for (let i = 0; i < inFeatures; i++) {
      for (let o = 0; o < outFeatures; o++) {
        let sum = 0;
        for (let r = 0; r < rank; r++) sum += loraA[r * inFeatures + i]! * loraB[r * outFeatures + o]!;
        squares += (scaling * sum) ** 2;
      }
    }
    expect(Math.sqrt(squares)).toBeLessThanOrEqual(1e-3);
  }
});

test("what is refused changes nothing, and the next request is learned from", async () => {
  const { adapter, learner } = await learnerOf({ undo: 3, guard: { hold: 4 } });
  const feeds = feedsOf("gpt2-legacy", 1, 6);
  const wrong = { feeds, loss: tokenNll({ labels: [[5, 1000, 5, 5, 5, 5]] }) };
  const before = adapter.toBytes();
  await expect(learner.learn(wrong)).rejects.toMatchObject({ code: "out-of-range" });
  expect(adapter.toBytes()).toEqual(before);
  expect(learner.report().undoable).toBe(0);
  expect((await learner.learn(request(1))).applied).toBe(true);
  adapter.enabled = false;
  expect(await learner.learn(request(1))).toMatchObject({ applied: false, reason: "disabled" });
});

test("a setting that is the loss's to say is refused", async () => {
  const config = { temperature: 0.1 } as ModelLearnerConfig;
  await expect(learnerOf(config)).rejects.toMatchObject({ code: "unsupported-method", where: "temperature" });
});

test.each([-1, 0.5, Number.NaN])("%s updates are not undone", async (n) => {
  const { learner } = await learnerOf({ undo: 1 });
  await learner.learn(request(1));
  await expect(learner.undo(n)).rejects.toMatchObject({ name: "MicroLoraError" });
  expect(await learner.undo()).toBe(1);
});
