import { readFileSync } from "node:fs";
import { MicroLora } from "microlora";
import { InferenceSession } from "onnxruntime-web";
import { describe, expect, type MockInstance, test, vi } from "vitest";
import { cosine, type Loss, tokenNll, vjp } from "../index.js";
import type { Ort } from "../run/ort.js";
import { toOrt } from "../run/sessions.js";
import {
  FIXTURES,
  type Fixture,
  feedsOf,
  fixturePath,
  openFixture,
  randomOf,
  web,
} from "../testing/models.test-support.js";
import type { LoraModel } from "./lora-model.js";
import { openModel } from "./open.js";

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

test("rows of a large batch are computed some at a time, unless they are compared with one another", async () => {
  const runs: MockInstance[] = [];
  const create: Ort["InferenceSession"]["create"] = async (...given) => {
    const session = await web.InferenceSession.create(...given);
    runs.push(vi.spyOn(session, "run"));
    return session;
  };
  const ort = { ...web, InferenceSession: { create } };
  await using model = await openModel(
    { model: readFileSync(fixturePath("bert-legacy")) },
    { ort, targets: ["q_proj"] },
  );
  const adapter = await adapterOf(model, 1);
  const feeds = feedsOf("bert-legacy", 3000, 8);
  const hidden = (await model.run(feeds, { adapters: adapter })).last_hidden_state!;
  const { loss } = await model.gradients({ feeds, loss: vjp({ last_hidden_state: hidden }) }, { adapter });
  const squares = (hidden.data as Float32Array).reduce((sum, value) => sum + value * value, 0);
  expect(Math.abs(loss - squares)).toBeLessThan(1e-3 * squares);
  await model.gradients({ feeds, loss: cosine({ left: [0], right: [1], targets: [0.3] }) }, { adapter });
  expect(runs.map((run) => run.mock.calls.length)).toEqual([1, expect.toSatisfy((count: number) => count > 1), 1]);
});

test("modules have ranks and alphas of their own, named as targets are, and keep them in a file", async () => {
  await using model = await openFixture("bert-legacy", { targets: ["q_proj", "v_proj"] });
  const [first] = model.modules.filter(({ role }) => role === "v_proj");
  const options = { rank: 1, alpha: 2, rankPattern: { v_proj: 3, [first!.name]: 2 }, alphaPattern: { value: 9 } };
  const adapter = await model.createAdapter({ ...options, seed: 5 });
  const wide = await model.createAdapter({ rank: 3, alpha: 3, seed: 5 });
  const random = randomOf(7);
  for (const { name, role } of model.modules) {
    const [own, other] = [adapter.getAdapter(name)!, wide.getAdapter(name)!];
    expect(own.rank).toBe(role === "q_proj" ? 1 : name === first!.name ? 2 : 3);
    expect(own.spec.alpha).toBe(role === "q_proj" ? 2 : 9);
    for (let i = 0; i < own.loraB.length; i++) own.loraB[i] = random();
    // The same change with ranks that do nothing, at a scaling of 1.
    other.loraA.fill(0);
    other.loraA.set(own.loraA);
    other.loraB.fill(0);
    other.loraB.set(own.loraB.map((value) => value * own.scaling));
  }
  const feeds = feedsOf("bert-legacy", 2, 5);
  const outputOf = async (adapters: MicroLora) => (await model.run(feeds, { adapters })).last_hidden_state!.data;
  const expected = (await outputOf(wide)) as Float32Array;
  expectClose((await outputOf(adapter)) as Float32Array, expected, 1e-6);
  const read = await MicroLora.fromBytes(adapter.toBytes(), { baseModel: model.fingerprint });
  expect(await outputOf(read)).toEqual(await outputOf(adapter));
  const { gradients } = await model.gradients({ feeds, loss: lossOf("bert-legacy") }, { adapter: read });
  for (const [name, { loraA }] of gradients.get(read)!) expect(loraA.length).toBe(read.getAdapter(name)!.loraA.length);
  await expectRejection(model.createAdapter({ rankPattern: { k_proj: 2 } }), "unknown-module");
});

/** Not `rejects`, which would print a whole MicroLora on failure. */
async function expectRejection(promise: Promise<unknown>, code: string): Promise<void> {
  expect(
    await promise.then(
      () => undefined,
      (error: { readonly code: string }) => error.code,
    ),
  ).toBe(code);
}
