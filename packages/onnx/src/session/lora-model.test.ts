import { readFileSync } from "node:fs";
import type { MicroLora } from "microlora";
import { InferenceSession } from "onnxruntime-web";
import { describe, expect, test } from "vitest";
import { cosine, type Loss, tokenNll } from "../index.js";
import type { LoraModel } from "./lora-model.js";
import { FIXTURES, type Fixture, feedsOf, fixturePath, openFixture, randomOf, web } from "./models.test-support.js";
import { toOrt } from "./tensors.js";

const OUTPUT: Record<Fixture, string> = {
  "bert-legacy": "last_hidden_state",
  "gpt2-legacy": "logits",
  "llama-dynamo": "logits",
};

function lossOf(name: Fixture): Loss {
  if (name === "bert-legacy") return cosine({ left: [0], right: [1], targets: [0.3] });
  return tokenNll({ labels: feedsOf(name, 2, 7).input_ids! });
}

/** An adapter that changes something. */
async function adapterOf(model: LoraModel, seed: number, rank = 2): Promise<MicroLora> {
  const adapter = await model.createAdapter({ rank, seed, learning: { learningRate: 0.5, ewcLambda: 0 } });
  const random = randomOf(seed);
  for (const { name } of model.modules) {
    const { loraB } = adapter.getAdapter(name)!;
    for (let i = 0; i < loraB.length; i++) loraB[i] = random();
  }
  return adapter;
}

describe.each(FIXTURES)("%s", (name) => {
  test("with no adapter, and with a fresh one, it is the base model", async () => {
    const path = fixturePath(name);
    const data = name === "llama-dynamo" ? [{ path: "model.onnx.data", data: readFileSync(`${path}.data`) }] : [];
    const session = await InferenceSession.create(readFileSync(path), { externalData: data });
    const base = await session.run(toOrt(web, feedsOf(name, 2, 7)) as never);
    await using model = await openFixture(name, { targets: "all-linear" });
    for (const adapters of [undefined, await model.createAdapter()]) {
      const outputs = await model.run(feedsOf(name, 2, 7), adapters === undefined ? {} : { adapters });
      expect(outputs[OUTPUT[name]]!.data).toEqual(base[OUTPUT[name]]!.data);
    }
  });

  test("each row of a batch has its own adapter, whatever their ranks", async () => {
    await using model = await openFixture(name, { targets: "all-linear" });
    const adapters = [await adapterOf(model, 1, 1), null, await adapterOf(model, 2, 3)];
    const feeds = feedsOf(name, 3, 5);
    const together = (await model.run(feeds, { adapters }))[OUTPUT[name]]!.data as Float32Array;
    const width = together.length / 3;
    for (const [row, adapter] of adapters.entries()) {
      const alone = (await model.run(feeds, { adapters: adapter }))[OUTPUT[name]]!.data as Float32Array;
      expectClose(
        together.subarray(row * width, (row + 1) * width),
        alone.subarray(row * width, (row + 1) * width),
        1e-5,
      );
    }
  });

  test("gradients agree with finite differences", async () => {
    await using model = await openFixture(name, { targets: "all-linear" });
    const adapter = await adapterOf(model, 3);
    const request = { feeds: feedsOf(name, 2, 7), loss: lossOf(name) };
    const { gradients } = await model.gradients(request, { adapter });
    const random = randomOf(9);
    for (const [module, gradient] of gradients.get(adapter)!) {
      const lora = adapter.getAdapter(module)!;
      for (const part of ["loraA", "loraB"] as const) {
        const weights = lora[part];
        const start = weights.slice();
        const direction = start.map(() => random());
        const moved = async (step: number) => {
          weights.set(start.map((value, i) => value + step * direction[i]!));
          return (await model.gradients(request, { adapter })).loss;
        };
        const numeric = ((await moved(0.01)) - (await moved(-0.01))) / 0.02;
        weights.set(start);
        const exact = direction.reduce((sum, value, i) => sum + value * gradient[part][i]!, 0);
        expect(Math.abs(exact - numeric)).toBeLessThan(1e-4 + 0.02 * Math.abs(numeric));
      }
    }
  });

  test("learning lowers the loss", async () => {
    await using model = await openFixture(name, { targets: "all-linear" });
    const adapter = await adapterOf(model, 4);
    const request = { feeds: feedsOf(name, 2, 7), loss: lossOf(name) };
    const { loss: before } = await model.learn(request, { adapter });
    for (let step = 0; step < 20; step++) await model.learn(request, { adapter });
    const { loss: after } = await model.gradients(request, { adapter });
    expect(after).toBeLessThan(before - 0.02);
  });
});

function expectClose(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  const worst = actual.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0);
  expect(worst).toBeLessThan(tolerance);
}

test("a batch that does not fit is cut where the loss allows it, and refused elsewhere", async () => {
  const feeds = feedsOf("llama-dynamo", 4, 6);
  const loss = tokenNll({ labels: feeds.input_ids! });
  await using roomy = await openFixture("llama-dynamo", { targets: ["q_proj"] });
  const adapter = await adapterOf(roomy, 1);
  const whole = await roomy.gradients({ feeds, loss }, { adapter });
  await using tight = await openFixture("llama-dynamo", { targets: ["q_proj"], memoryLimit: 120_000 });
  const parts = await tight.gradients({ feeds, loss }, { adapter });
  expect(parts.loss).toBeCloseTo(whole.loss, 4);
  await using hopeless = await openFixture("llama-dynamo", { targets: ["q_proj"], memoryLimit: 1000 });
  await expect(hopeless.gradients({ feeds, loss }, { adapter })).rejects.toMatchObject({ code: "out-of-memory" });
});
