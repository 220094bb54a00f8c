// Merged decoders in real transformers.js pipelines: text generation, and translation by an encoder and a decoder.
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "@huggingface/transformers";
import { attach, mergeIntoModel, openModel, tokenNll } from "@microlora/onnx/node";
import * as ort from "onnxruntime-node";
import { byteTokenizer, check, codeOf, modelFolder } from "./support.mjs";

const folder = modelFolder();
const SIZES = { vocab_size: 128, num_attention_heads: 2, num_hidden_layers: 1, hidden_size: 16, pad_token_id: 0 };
const LLAMA = { ...SIZES, model_type: "llama", num_key_value_heads: 1, head_dim: 8, eos_token_id: 0 };
const T5 = {
  ...SIZES,
  ...{
    model_type: "t5",
    is_encoder_decoder: true,
    d_model: 16,
    d_kv: 8,
    num_heads: 2,
    num_layers: 1,
    num_decoder_layers: 1,
  },
  ...{ decoder_start_token_id: 0, eos_token_id: 1 },
};

/** Lays a committed model out as transformers.js wants it. */
function layOut(name, config, side) {
  const place = join(folder, name);
  byteTokenizer(place, { count: 128, side });
  cpSync(join(import.meta.dirname, "../fixtures", name), join(place, "onnx"), { recursive: true });
  writeFileSync(join(place, "config.json"), JSON.stringify(config));
  return join(place, "onnx/decoder_model_merged.onnx");
}

const LEARNING = { rank: 4, alpha: 8, learning: { learningRate: 0.1, ewcLambda: 0 } };
const textOf = (output) =>
  [output]
    .flat(2)
    .map((each) => each.generated_text ?? each.translation_text)
    .join("\n");

async function generation() {
  const path = layOut("llama-merged", LLAMA, "left");
  const options = { dtype: "fp32", model_file_name: "decoder_model_merged" };
  const pipe = await pipeline("text-generation", "llama-merged", options);
  const prompts = ["My cat is ", "You"];
  const generate = async (texts = prompts, run = pipe) =>
    textOf(await run(texts, { max_new_tokens: 8, do_sample: false }));
  const before = await generate();
  const model = await openModel(path, { ort, targets: "all-linear" });
  const attached = attach(pipe, model);
  check((await generate()) === before, "text-generation by a merged decoder without an adapter is the same");
  const adapter = await model.createAdapter(LEARNING);
  attached.adapters = adapter;
  check((await generate()) === before, "and with a fresh one");
  const feeds = await attached.encode(["My cat is Tom.", "You and I."]);
  const request = { feeds, loss: tokenNll({ labels: feeds.input_ids }) };
  const { loss: first } = await attached.learn(request);
  for (let step = 0; step < 100; step++) await attached.learn(request);
  const { loss: last } = await attached.learn(request);
  check(last < first - 1, `it learns through the graph without a past: loss ${first.toFixed(2)} -> ${last.toFixed(2)}`);
  const after = await generate();
  check(after !== before, `and says other things, with the cache of keys and values: ${JSON.stringify(after)}`);
  mkdirSync(join(folder, "own/onnx"), { recursive: true });
  cpSync(join(folder, "llama-merged"), join(folder, "own"), { recursive: true });
  await mergeIntoModel(path, join(folder, "own/onnx/decoder_model_merged.onnx"), adapter);
  const own = await pipeline("text-generation", "own", options);
  check(
    (await generate(prompts, own)) === after,
    "the same as with the adapter merged into the weights of both graphs",
  );
  attached.adapters = [null, adapter];
  const [plain, adapted] = (await generate()).split("\n");
  check(plain === before.split("\n")[0] && adapted === after.split("\n")[1], "each row of a batch has its own adapter");
  attached[Symbol.dispose]();
  check((await generate()) === before, "detached, it is the pipeline that it was");
  await model[Symbol.asyncDispose]();
}

async function translation() {
  const path = layOut("t5-merged", T5, "right");
  const pipe = await pipeline("translation", "t5-merged", { dtype: "fp32" });
  const translate = async (texts) => textOf(await pipe(texts, { max_new_tokens: 8, do_sample: false }));
  const texts = ["good day", "red"];
  const before = await translate(texts);
  const model = await openModel(path, { ort, targets: "all-linear" });
  const attached = attach(pipe, model);
  check((await translate(texts)) === before, "translation without an adapter is the same");
  attached.adapters = await model.createAdapter(LEARNING);
  check((await translate(texts)) === before, "and with a fresh one");
  const { feeds, labels } = await attached.encodePairs(texts, ["dan\x01", "rot\x01"]);
  const request = { feeds, loss: tokenNll({ labels, shifted: true }) };
  for (let step = 0; step < 600; step++) await attached.learn(request);
  const after = await translate(texts);
  check(after === "dan\x01\nrot\x01", `it learns what to say, ended by its last token: ${JSON.stringify(after)}`);
  check((await codeOf(() => attached.encode(texts))) === "unknown-value", "a decoder behind an encoder wants pairs");
  check((await codeOf(() => attached.encodePairs(texts, ["one"]))) === "shape-mismatch", "a target for each text");
  const encoder = await openModel(join(folder, "t5-merged/onnx/encoder_model.onnx"), { ort, targets: "all-linear" });
  const both = attach(pipe, encoder, { adapters: await encoder.createAdapter() });
  check((await translate(texts)) === after, "the encoder has adapters of its own");
  both[Symbol.dispose]();
  attached[Symbol.dispose]();
  check((await translate(texts)) === before, "detached, it is the pipeline that it was");
  await model[Symbol.asyncDispose]();
  await encoder[Symbol.asyncDispose]();
}

try {
  await generation();
  await translation();
} finally {
  rmSync(folder, { recursive: true });
}
