import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adamw, everyRequests, METHODS, MicroLora } from "microlora";
import { save } from "microlora/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { forge, partsOf, withHeader } from "../../../microlora/src/checkpoint/forge.test-support.js";
import { floats } from "../base/host-tensor.js";
import { combine, dpo, klToBase, kto, type Loss, tokenNll, vjp } from "../index.js";
import type { LoraModel } from "../model/lora-model.js";
import type { GradientRequest } from "../model/options.js";
import { feedsOf, openFixture, randomOf } from "../testing/models.test-support.js";
import { ModelLearner, type ModelLearnerConfig, type ModelLearnerLoadOptions } from "./model-learner.js";

let model: LoraModel;
beforeAll(async () => {
  model = await openFixture("gpt2-legacy", { targets: ["q_proj", "c_fc"] });
});
afterAll(() => model[Symbol.asyncDispose]());

const options: ModelLearnerLoadOptions = { methods: METHODS };
const ROWS = 2;
const TOKENS = 6;
const VOCABULARY = 99;

/** A loss of each kind that reads logits in turn; what it holds is as callers have it: lists, tensors, zeros with a sign. */
function request(k: number): GradientRequest {
  const feeds = feedsOf("gpt2-legacy", ROWS, TOKENS, k);
  const labels = feeds.input_ids!;
  const random = randomOf(k + 1);
  const gradient = floats(Float32Array.from({ length: ROWS * TOKENS * VOCABULARY }, random), [
    ROWS,
    TOKENS,
    VOCABULARY,
  ]);
  const mask = Array.from({ length: ROWS }, (_, row) => Array.from({ length: TOKENS }, (_, t) => (t > row ? 1 : -0)));
  const nll = tokenNll({ labels, weights: [1, k % 4 === 0 ? -1 : 0.5] });
  const losses: readonly Loss[] = [
    nll,
    combine([
      [1, tokenNll({ labels, reduction: "sum" })],
      [0.5, klToBase({ mask })],
    ]),
    dpo({ labels, beta: 0.2, weights: [2] }),
    kto({ labels, desirable: [true, k % 2 === 0] }),
    vjp({ logits: gradient }),
  ];
  return { feeds, loss: losses[k % losses.length]!, ...(k % 3 === 0 && { microBatch: ROWS }) };
}

const CONFIG: ModelLearnerConfig = {
  guard: { hold: 4, share: 3, every: 4, strictness: 0 },
  replay: { bytes: 8 * 1024, perUpdate: 2 },
  boundary: everyRequests(7),
  maxDelta: 0.5,
  seed: 3,
};

async function learnerOf(config: ModelLearnerConfig, learning: object = { learningRate: 0.05 }) {
  return new ModelLearner(model, await model.createAdapter({ learning }), config);
}

/** Learns `count` requests, loaded anew from its own bytes after each. */
async function restarted(learner: ModelLearner, count: number, seen: (bytes: Uint8Array) => void): Promise<void> {
  let now = learner;
  for (let k = 0; k < count; k++) {
    await now.learn(request(k));
    const bytes = await now.toBytes();
    seen(bytes);
    now.adapter[Symbol.dispose]();
    now = await ModelLearner.fromBytes(model, bytes, options);
  }
  now.adapter[Symbol.dispose]();
}

describe("a restart after any request", () => {
  const settings = {
    plain: [{}, { learningRate: 0.05 }],
    "all safeguards, SGD": [CONFIG, { learningRate: 0.1, ewcLambda: 1 }],
    "all safeguards, AdamW": [CONFIG, { learningRate: 0.02, ewcLambda: 1, optimizer: adamw() }],
    "a guard alone": [{ guard: { hold: 4, share: 2, every: 2 }, undo: 2 }, { learningRate: 0.2 }],
  } as const;

  test.each(Object.entries(settings))("%s: the same bits", async (_, [config, learning]) => {
    const states: Uint8Array[] = [];
    await restarted(await learnerOf(config, learning), 30, (bytes) => states.push(bytes));
    const learner = await learnerOf(config, learning);
    for (const [k, state] of states.entries()) {
      await learner.learn(request(k));
      const same = Buffer.compare(await learner.toBytes(), state) === 0;
      expect(same, `after request ${k}`).toBe(true);
    }
    const { guard, replay, boundaries } = learner.report();
    if ("guard" in config) expect(guard!.promoted + guard!.rejected).toBeGreaterThan(1);
    if ("replay" in config) expect(replay!.count).toBeGreaterThan(5);
    if ("boundary" in config) expect(boundaries).toBe(4);
  });
});

test("bytes are those after all that was asked for before", async () => {
  const [one, other] = [await learnerOf(CONFIG), await learnerOf(CONFIG)];
  const learning = one.learn(request(0));
  const bytes = await one.toBytes();
  await learning;
  await other.learn(request(0));
  expect(Buffer.compare(bytes, await other.toBytes())).toBe(0);
});

test("goes through a file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "model-learner-"));
  try {
    const learner = await learnerOf(CONFIG);
    for (let k = 0; k < 8; k++) await learner.learn(request(k));
    await save(learner, join(folder, "user.mlora"));
    const back = await ModelLearner.fromBytes(model, await readFile(join(folder, "user.mlora")), options);
    expect(back.report()).toEqual({ ...learner.report(), undoable: 0 });
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe("a loss of one's own", () => {
  const half = (given: { readonly labels: GradientRequest["feeds"][string] }, isSaved = true): Loss => {
    const { source: _, ...loss } = combine([[0.5, tokenNll(given)]]);
    return { ...loss, key: `half of ${loss.key}`, ...(isSaved && { source: { maker: "half", options: given } }) };
  };
  const held = async (isSaved: boolean) => {
    const learner = await learnerOf({ replay: { bytes: 4096 } });
    const feeds = feedsOf("gpt2-legacy", 1, 5);
    await learner.learn({ feeds, loss: half({ labels: feeds.input_ids! }, isSaved) });
    return learner;
  };

  test("is loaded by its maker", async () => {
    const bytes = await (await held(true)).toBytes();
    const back = await ModelLearner.fromBytes(model, bytes, { losses: { half } });
    expect(Buffer.compare(await back.toBytes(), bytes)).toBe(0);
    const unknown = { name: "OnnxError", code: "unsupported-method", where: "replay.examples[0].loss" };
    expect(await thrownBy(ModelLearner.fromBytes(model, bytes))).toMatchObject(unknown);
  });

  test("is not saved without a source, and learning goes on", async () => {
    const learner = await held(false);
    expect(await thrownBy(learner.toBytes())).toMatchObject({ code: "unsupported-method", where: "request.loss" });
    expect((await learner.learn(request(1))).applied).toBe(true);
  });
});

describe("what no learner wrote is refused", () => {
  let bytes: Uint8Array;
  beforeAll(async () => {
    const learner = await learnerOf(CONFIG, { learningRate: 0.02, ewcLambda: 1, optimizer: adamw() });
    for (let k = 0; k < 16; k++) await learner.learn(request(k));
    bytes = await learner.toBytes();
  });
  const refusal = (file: Uint8Array) => thrownBy(ModelLearner.fromBytes(model, file, options));

  test("cut off anywhere, or with a bit turned", async () => {
    const random = randomOf(7);
    for (let k = 0; k < 200; k++) {
      const cut = Math.floor((random() + 0.5) * bytes.length);
      expect(await refusal(bytes.subarray(0, cut)), `${cut} bytes`).toMatchObject({ name: "MicroLoraError" });
      const turned = bytes.slice();
      turned[cut]! ^= 1 << (k % 8);
      expect(await refusal(turned), `bit of byte ${cut}`).toMatchObject({ name: "MicroLoraError" });
    }
  });

  test("any field missing, null or of another kind, never a TypeError", async () => {
    const random = randomOf(5);
    const paths = pathsOf(JSON.parse(partsOf(bytes).header));
    for (let k = 0; k < 600; k++) {
      const path = paths[Math.floor((random() + 0.5) * paths.length)]!;
      const lying = withHeader(bytes, (copy) => {
        const parent = path.slice(0, -1).reduce((at, key) => at[key], copy);
        const wrong = [undefined, null, -1, "text", [], {}, 1e300][Math.floor((random() + 0.5) * 7)];
        if (wrong === undefined) delete parent[path.at(-1)!];
        else parent[path.at(-1)!] = wrong;
      });
      const outcome = await ModelLearner.fromBytes(model, lying, options).then(
        async (accepted) => {
          const same = Buffer.compare(await accepted.toBytes(), lying) === 0;
          accepted.adapter[Symbol.dispose]();
          return same ? "the same state" : "read as something else";
        },
        (error: unknown) => (error as Error).name,
      );
      expect(["MicroLoraError", "OnnxError", "the same state"], `${path.join(".")}: ${outcome}`).toContain(outcome);
    }
  });

  test.each([
    ["an array longer than the file", { feeds: { input_ids: { $Uint8Array: 1e9 } } }],
    ["an array that is no array", { feeds: { input_ids: { $Array: 3 } } }],
    ["a constructor", { feeds: { input_ids: { $constructor: 3 } } }],
    ["a loss that is no maker", { loss: { $loss: "toString" } }],
    ["losses within losses", { loss: JSON.parse(nested(1000)) }],
  ])("%s", async (_, lie) => {
    const error = await refusal(withHeader(bytes, (header) => void Object.assign(header.guard.held[0], lie)));
    expect(["MicroLoraError", "OnnxError"]).toContain((error as Error).name);
  });

  test("another kind of file, another model", async () => {
    using adapter = await model.createAdapter();
    expect(await refusal(adapter.toBytes())).toMatchObject({ code: "not-a-checkpoint" });
    expect(await thrownBy(MicroLora.fromBytes(bytes, options))).toMatchObject({ code: "not-a-checkpoint" });
    const other = await openFixture("llama-dynamo", { targets: ["q_proj"] });
    expect(await thrownBy(ModelLearner.fromBytes(other, bytes, options))).toBeInstanceOf(Error);
    await other[Symbol.asyncDispose]();
    const parts = partsOf(bytes);
    expect(await refusal(forge({ ...parts, version: 9 }))).toMatchObject({ code: "unsupported-version" });
  });
});

function nested(depth: number): string {
  return `${'{"$loss":"combine","$options":[[1,'.repeat(depth)}null${"]]}".repeat(depth)}`;
}

function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

function pathsOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [[key], ...pathsOf(child).map((path) => [key, ...path])]);
}
