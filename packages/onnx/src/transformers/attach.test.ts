import { readFileSync } from "node:fs";
import { join } from "node:path";
import { InferenceSession } from "onnxruntime-web";
import { expect, test } from "vitest";
import { ints } from "../base/host-tensor.js";
import { tokenNll } from "../index.js";
import { openModel } from "../model/open.js";
import { toOrt } from "../run/sessions.js";
import { web } from "../testing/models.test-support.js";
import { attach } from "./attach.js";

function bytesOf(name: string): Uint8Array {
  return readFileSync(join(import.meta.dirname, "../../fixtures/t5-merged", `${name}.onnx`));
}

/** Each letter is a token; texts are padded with 0 on the right. */
function tokenizer(texts: string | string[]) {
  const length = Math.max(...[...texts].map((text) => text.length));
  const codes = [...texts].flatMap((text) => Array.from({ length }, (_, i) => text.charCodeAt(i) || 0));
  const dims = [texts.length, length];
  const mask = codes.map((code) => Number(code !== 0));
  return toOrt(web, { input_ids: ints(codes, dims), attention_mask: ints(mask, dims) });
}

/** What transformers.js has of an encoder-decoder, as far as `attach` looks at it. */
async function pipelineOf(config: { readonly decoder_start_token_id?: number }) {
  const model = await InferenceSession.create(bytesOf("encoder_model"));
  const decoder_model_merged = await InferenceSession.create(bytesOf("decoder_model_merged"));
  const sessions: Record<string, unknown> = { model, decoder_model_merged };
  return Object.assign(() => {}, { tokenizer, model: { config, sessions } });
}

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: { readonly code: string }) => error.code,
  );
}

test("a decoder behind an encoder stands in for its own session, and learns from texts and what to say of them", async () => {
  const pipeline = await pipelineOf({ decoder_start_token_id: 0 });
  const { sessions } = pipeline.model;
  const { model: encoder, decoder_model_merged: decoder } = sessions;
  await using model = await openModel(bytesOf("decoder_model_merged"), { ort: web, targets: ["q", "v"] });
  const adapters = await model.createAdapter({ rank: 2, learning: { learningRate: 0.3, ewcLambda: 0 } });
  const attached = attach(pipeline, model, { adapters });
  expect(sessions.model).toBe(encoder);
  expect(sessions.decoder_model_merged).not.toBe(decoder);
  const { feeds, labels } = await attached.encodePairs(["good day", "red"], ["dan", "ro"]);
  expect(feeds.input_ids!.data).toEqual(BigInt64Array.from([0, 100, 97, 0, 114, 111].map(BigInt)));
  expect(labels.data).toEqual(BigInt64Array.from([100, 97, 110, 114, 111, -100].map(BigInt)));
  expect(feeds.encoder_hidden_states!.dims).toEqual([2, 8, 16]);
  const request = { feeds, loss: tokenNll({ labels, shifted: true }) };
  const { loss: first } = await attached.learn(request);
  for (let step = 0; step < 10; step++) await attached.learn(request);
  expect((await attached.learn(request)).loss).toBeLessThan(first - 0.2);
  // As Whisper's tokenizer has it: the token that the decoder starts with is in front already.
  const started = await attached.encodePairs(tokenizer(["good day"]), ["\0dan"]);
  expect(started.feeds.input_ids!.data).toEqual(BigInt64Array.from([0n, 100n, 97n]));
  expect(started.labels.data).toEqual(BigInt64Array.from([100n, 97n, 110n]));
  attached[Symbol.dispose]();
  expect(sessions.decoder_model_merged).toBe(decoder);
});

test("an encoder stands in for its own session, and what is of no use to a model is refused", async () => {
  const pipeline = await pipelineOf({});
  const { sessions } = pipeline.model;
  const { decoder_model_merged: decoder } = sessions;
  await using encoder = await openModel(bytesOf("encoder_model"), { ort: web, targets: ["q"] });
  await using model = await openModel(bytesOf("decoder_model_merged"), { ort: web, targets: ["q"] });
  using first = attach(pipeline, encoder);
  expect(sessions.decoder_model_merged).toBe(decoder);
  using second = attach(pipeline, model);
  expect(Object.keys(await first.encode(["a"]))).toEqual(["input_ids", "attention_mask"]);
  expect(await codeOf(first.encodePairs(["a"], ["b"]))).toBe("unknown-value");
  expect(await codeOf(second.encode(["a"]))).toBe("unknown-value");
  expect(await codeOf(second.encodePairs(["a"], ["b", "c"]))).toBe("shape-mismatch");
  // Its configuration does not say what decoders start with.
  expect(await codeOf(second.encodePairs(["a"], ["b"]))).toBe("unknown-value");
});
