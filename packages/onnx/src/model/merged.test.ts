import { readFileSync } from "node:fs";
import { join } from "node:path";
import { InferenceSession } from "onnxruntime-web";
import { describe, expect, test } from "vitest";
import { floats, type HostTensor, ints } from "../base/host-tensor.js";
import { tokenNll } from "../index.js";
import type { Adapters } from "../run/adapters.js";
import { toOrt } from "../run/sessions.js";
import { randomOf, web } from "../testing/models.test-support.js";
import type { LoraModel } from "./lora-model.js";
import { openModel } from "./open.js";

/** Merged decoders, made by `goldens/merged.py`, and what they take beside tokens. */
const MERGED = ["llama-merged", "t5-merged"] as const;
const [ROWS, TOKENS, VOCABULARY] = [2, 5, 128];
const STATES = {
  encoder_attention_mask: ints([1, 1, 1, 1, 1, 0], [ROWS, 3]),
  encoder_hidden_states: floats(Float32Array.from({ length: ROWS * 3 * 16 }, randomOf(5)), [ROWS, 3, 16]),
};

function bytesOf(name: (typeof MERGED)[number]): Uint8Array {
  return readFileSync(join(import.meta.dirname, "../../fixtures", name, "decoder_model_merged.onnx"));
}

function tokensOf(count: number): HostTensor {
  const ids = Array.from({ length: ROWS * count }, (_, i) => ((i % count) * 37 + Math.floor(i / count)) % VOCABULARY);
  return ints(ids, [ROWS, count]);
}

/** Feeds of the last of `count` tokens behind the keys and values that a run on those before it gave. */
function feedsBehind(model: LoraModel, before: Readonly<Record<string, HostTensor>>, count: number) {
  const all = tokensOf(count).data as BigInt64Array;
  const past = Object.entries(before).filter(([name]) => name.startsWith("present"));
  return model.complete({
    ...STATES,
    input_ids: ints(
      Array.from({ length: ROWS }, (_, row) => Number(all[(row + 1) * count - 1])),
      [ROWS, 1],
    ),
    attention_mask: ints(Array(ROWS * count).fill(1), [ROWS, count]),
    position_ids: ints(Array(ROWS).fill(count - 1), [ROWS, 1]),
    ...Object.fromEntries(past.map(([name, value]) => [name.replace("present", "past_key_values"), value])),
  });
}

async function adapterOf(model: LoraModel, seed: number) {
  const adapter = await model.createAdapter({ rank: 2, learning: { learningRate: 0.3, ewcLambda: 0 } });
  const random = randomOf(seed);
  for (const { name } of model.modules)
    adapter.getAdapter(name)!.loraB.set(adapter.getAdapter(name)!.loraB.map(random));
  return adapter;
}

describe.each(MERGED)("%s", (name) => {
  test("with no adapter, and with a fresh one, both graphs are the base model's", async () => {
    const session = await InferenceSession.create(bytesOf(name));
    await using model = await openModel(bytesOf(name), { ort: web, targets: "all-linear" });
    const feeds = model.complete({ ...STATES, input_ids: tokensOf(TOKENS) });
    const before = (await session.run(toOrt(web, feeds) as never)) as Readonly<Record<string, HostTensor>>;
    const behind = feedsBehind(model, before, TOKENS + 1);
    expect([feeds, behind].map(({ use_cache_branch: choice }) => choice!.data)).toEqual(
      [[0], [1]].map((one) => Uint8Array.from(one)),
    );
    for (const fed of [feeds, behind]) {
      const base = await session.run(toOrt(web, fed) as never);
      for (const adapters of [null, await model.createAdapter()]) {
        const outputs = await model.run(fed, { adapters });
        for (const [output, { data }] of Object.entries(base)) expect(outputs[output]!.data).toEqual(data);
      }
    }
  });

  test("each row with its adapter says behind its past what it says of the whole text", async () => {
    await using model = await openModel(bytesOf(name), { ort: web, targets: "all-linear" });
    const adapters: Adapters = [await adapterOf(model, 1), null];
    const logitsOf = async (fed: Record<string, HostTensor>, given: Adapters = adapters) =>
      (await model.run(fed, { adapters: given })).logits!.data as Float32Array;
    const feeds = model.complete({ ...STATES, input_ids: tokensOf(TOKENS) });
    const whole = await logitsOf(model.complete({ ...STATES, input_ids: tokensOf(TOKENS + 1) }));
    const step = await logitsOf(feedsBehind(model, await model.run(feeds, { adapters }), TOKENS + 1));
    for (let row = 0; row < ROWS; row++) {
      const last = ((row + 1) * (TOKENS + 1) - 1) * VOCABULARY;
      const own = step.subarray(row * VOCABULARY, (row + 1) * VOCABULARY);
      for (const [i, value] of own.entries()) expect(Math.abs(value - whole[last + i]!)).toBeLessThan(1e-5);
    }
    expect(await logitsOf(feeds)).not.toEqual(await logitsOf(feeds, null));
  });

  test("it learns through the graph that the feeds choose", async () => {
    await using model = await openModel(bytesOf(name), { ort: web, targets: "all-linear" });
    expect(model.notLearnable.size).toBe(0);
    const adapter = await adapterOf(model, 2);
    const feeds = model.complete({ ...STATES, input_ids: tokensOf(TOKENS) });
    const request = { feeds, loss: tokenNll({ labels: feeds.input_ids! }) };
    const { loss: first, missing } = await model.learn(request, { adapter });
    for (let step = 0; step < 20; step++) await model.learn(request, { adapter });
    expect((await model.gradients(request, { adapter })).loss).toBeLessThan(first - 0.5);
    expect(missing.size).toBe(0);
    const { input_ids: _, ...rest } = feedsBehind(model, await model.run(feeds), TOKENS + 1);
    const behind = {
      ...rest,
      input_ids: tokensOf(2),
      ...(rest.position_ids && { position_ids: ints([5, 6, 5, 6], [2, 2]) }),
    };
    if (rest.attention_mask) Object.assign(behind, { attention_mask: ints(Array(14).fill(1), [ROWS, 7]) });
    const learned = await model.gradients({ feeds: behind, loss: tokenNll({ labels: tokensOf(2) }) }, { adapter });
    // Keys and values of the encoder are in the past already.
    const cross = model.modules.filter(({ sites }) => sites.length === 1).map((module) => module.name);
    expect(cross.length).toBe(name === "t5-merged" ? 2 : 0);
    expect([...learned.missing.keys()]).toEqual(cross);
  });
});
