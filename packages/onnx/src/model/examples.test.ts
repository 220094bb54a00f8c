import type { MicroLora } from "microlora";
import { afterAll, beforeAll, expect, test } from "vitest";
import { crossEntropy, dpo, type Loss, tokenNll, vjp } from "../index.js";
import type { Feeds } from "../run/feeds.js";
import { sliceAxis } from "../run/feeds.js";
import { feedsOf, openFixture, randomOf } from "../testing/models.test-support.js";
import type { LoraModel } from "./lora-model.js";

const ROWS = 4;
const feeds = feedsOf("llama-dynamo", ROWS, 5);
const random = randomOf(3);
const GRADIENT = { type: "float32", dims: [ROWS, 5, 99], data: Float32Array.from({ length: ROWS * 5 * 99 }, random) };
const labels = Array.from({ length: ROWS }, (_, row) => [1, 2, row === 1 ? -100 : 3, 4 + row, 5]);

let model: LoraModel;
let adapter: MicroLora;
beforeAll(async () => {
  model = await openFixture("llama-dynamo", { targets: ["q_proj", "down_proj"] });
  adapter = await filled(model);
});
afterAll(() => model.close());

async function filled(of: LoraModel, learning = {}): Promise<MicroLora> {
  const made = await of.createAdapter({ rank: 2, seed: 5, learning });
  const draw = randomOf(9);
  for (const { name } of of.modules) made.getAdapter(name)!.loraB.set(made.getAdapter(name)!.loraB.map(draw));
  return made;
}

function rowsOf(from: number, to: number): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, sliceAxis(tensor, 0, from, to)]));
}

/** By loss: of all rows, and of the example at some rows. */
const LOSSES: Readonly<Record<string, readonly [size: number, loss: (from: number, to: number) => Loss]>> = {
  vjp: [1, (from, to) => vjp({ logits: sliceAxis(GRADIENT, 0, from, to) })],
  tokenNll: [1, (from, to) => tokenNll({ labels: labels.slice(from, to) })],
  dpo: [2, (from, to) => dpo({ labels: labels.slice(from, to), beta: 0.5 })],
};

test.each(Object.entries(LOSSES))(
  "%s: Fisher is the mean of single examples' squared gradients",
  async (_, [size, lossOf]) => {
    const whole = { feeds, loss: lossOf(0, ROWS) };
    for (const microBatch of [undefined, 2]) {
      const request = microBatch === undefined ? whole : { ...whole, microBatch };
      const together = (await model.gradients(request, { adapter, examples: true })).gradients.get(adapter)!;
      const plain = (await model.gradients(whole, { adapter })).gradients.get(adapter)!;
      const alone = [];
      for (let from = 0; from < ROWS; from += size) {
        const single = { feeds: rowsOf(from, from + size), loss: lossOf(from, from + size) };
        alone.push((await model.gradients(single, { adapter })).gradients.get(adapter)!);
      }
      for (const [module, { squares: means, loraA }] of together) {
        expectClose(loraA, plain.get(module)!.loraA);
        for (const [block, seen] of [
          ["loraA", means!.loraA],
          ["loraB", means!.loraB],
        ] as const) {
          const squares = alone.map((each) => each.get(module)![block].map((value) => value ** 2));
          expectClose(
            seen,
            seen.map((__, i) => squares.reduce((sum, each) => sum + each[i]! / alone.length, 0)),
          );
        }
      }
    }
  },
);

test("an adapter for each row has the Fisher information of its own rows", async () => {
  const other = await filled(model);
  const request = { feeds, loss: vjp({ logits: GRADIENT }) };
  const { gradients } = await model.gradients(request, { adapters: [adapter, other, null, other], examples: true });
  for (const [each, rows] of [
    [adapter, [0]],
    [other, [1, 3]],
  ] as const) {
    const [module, { squares: means }] = [...gradients.get(each)!][0]!;
    const squares: Float32Array[] = [];
    for (const row of rows) {
      const single = { feeds: rowsOf(row, row + 1), loss: vjp({ logits: sliceAxis(GRADIENT, 0, row, row + 1) }) };
      squares.push((await model.gradients(single, { adapter: each })).gradients.get(each)!.get(module)!.loraA);
    }
    expectClose(
      means!.loraA,
      means!.loraA.map((_, i) => squares.reduce((sum, g) => sum + g[i]! ** 2 / rows.length, 0)),
    );
  }
});

test("calls of learn at once are the same calls one after the other, in parts too", async () => {
  const requests = [1, 2, 3].map((seed) => ({
    feeds: feedsOf("llama-dynamo", 2, 5, seed),
    loss: tokenNll({ labels: labels.slice(0, 2) }),
    microBatch: 1 + (seed % 2),
  }));
  const [together, apart] = [await filled(model), await filled(model)];
  await Promise.all(requests.map((request) => model.learn(request, { adapter: together })));
  for (const request of requests) await model.learn(request, { adapter: apart });
  expect(together.toBytes()).toEqual(apart.toBytes());
});

test("a model that is closed in use finishes what is under way, and refuses the rest", async () => {
  const closing = await openFixture("llama-dynamo", { targets: ["q_proj"] });
  const own = await filled(closing);
  const request = { feeds, loss: tokenNll({ labels }), microBatch: 1 };
  const calls = [closing.run(feeds, { adapters: own }), closing.learn(request, { adapter: own })];
  const before = own.toBytes();
  await closing.close();
  const codes = await Promise.all(
    calls.map((call) =>
      call.then(
        () => "done",
        ({ code }) => code,
      ),
    ),
  );
  expect(codes[0]).toBe("done");
  expect(["done", "disposed"]).toContain(codes[1]);
  if (codes[1] === "disposed") expect(own.toBytes()).toEqual(before);
  for (const call of [closing.run(feeds), closing.learn(request, { adapter: own }), closing.check(request)])
    await expect(
      call.then(
        () => "done",
        ({ code }) => code,
      ),
    ).resolves.toBe("disposed");
});

test.each<readonly [string, () => unknown]>([
  ["no options", () => openFixture("llama-dynamo", undefined as never)],
  ["no feeds", () => model.run(undefined as never)],
  ["a list of feeds", () => model.run([] as never)],
  ["options that do not exist", () => model.run(feeds, { adapter } as never)],
  ["outputs that are a text", () => model.run(feeds, { outputs: "logits" as never })],
  ["an adapter that is none", () => model.run(feeds, { adapters: {} as never })],
  ["no request", () => model.learn(undefined as never, { adapter })],
  ["no loss", () => model.learn({ feeds } as never, { adapter })],
  ["a loss that is a name", () => model.learn({ feeds, loss: "tokenNll" as never }, { adapter })],
  ["no options of learning", () => model.learn({ feeds, loss: tokenNll({ labels }) }, undefined as never)],
  ["half a micro-batch", () => model.learn({ feeds, loss: tokenNll({ labels }), microBatch: 0.5 }, { adapter })],
  ["no settings of an adapter", () => model.createAdapter(null as never)],
  ["labels that are texts", () => model.learn({ feeds, loss: tokenNll({ labels: [["a"]] as never }) }, { adapter })],
  ["no labels", () => model.learn({ feeds, loss: tokenNll(undefined as never) }, { adapter })],
  ["no gradient", () => vjp(undefined as never)],
  ["misspelt options of a loss", () => tokenNll({ label: labels } as never)],
  ["no options of a loss", () => crossEntropy(undefined as never)],
])("%s: a typed error", async (_, call) => {
  const error = await (async () => call())().then(
    () => undefined,
    (each) => each,
  );
  expect(error).toMatchObject({
    name: "OnnxError",
    code: expect.stringMatching(/^(invalid-argument|shape-mismatch)$/),
  });
});

function expectClose(seen: Float32Array, expected: Float32Array): void {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const worst = seen.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
  expect(worst).toBeLessThan(1e-4 * largest + 1e-12);
}
