// Real transformers.js pipelines that use an adapter and learn. Usage: node pipelines.mjs FOLDER_OF_MODELS
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { pipeline } from "@huggingface/transformers";
import { attach, cosine, openModel, tokenNll } from "@microlora/onnx/node";
import * as ort from "onnxruntime-node";
import { byteTokenizer, check, codeOf, modelFolder } from "./support.mjs";

const models = resolve(process.argv[2]);
const folder = modelFolder();

/** Lays a model out as transformers.js wants it. */
function layOut(name, from) {
  cpSync(join(models, from), join(folder, name), { recursive: true });
  mkdirSync(join(folder, name, "onnx"));
  cpSync(join(models, from, "model.onnx"), join(folder, name, "onnx/model.onnx"));
  return join(folder, name, "onnx/model.onnx");
}

async function embeddings() {
  const path = layOut("minilm", "minilm");
  const pipe = await pipeline("feature-extraction", "minilm", { dtype: "fp32" });
  const texts = ["a walk in the rain", "stock prices"];
  const embed = async () => [...(await pipe(texts, { pooling: "mean", normalize: true })).data];
  const dot = (e) => e.slice(0, 384).reduce((sum, value, i) => sum + value * e[384 + i], 0);
  const before = await embed();
  const model = await openModel(path, { ort, targets: ["query", "value"] });
  const attached = attach(pipe, model);
  check(
    (await embed()).every((value, i) => value === before[i]),
    "feature-extraction without an adapter is the same",
  );
  attached.adapters = await model.createAdapter({ rank: 2, learning: { learningRate: 0.5 } });
  check(
    (await embed()).every((value, i) => value === before[i]),
    "a fresh adapter changes nothing",
  );
  const loss = cosine({ left: [0], right: [1], targets: [0.9] });
  const feeds = await attached.encode(texts);
  for (let step = 0; step < 10; step++) await attached.learn({ feeds, loss });
  const after = dot(await embed());
  check(
    after > dot(before) + 0.05,
    `learning draws two texts together: cosine ${dot(before).toFixed(3)} -> ${after.toFixed(3)}`,
  );
  attached.adapters = [null, attached.adapters];
  const rows = await embed();
  check(
    rows.every((value, i) => Math.abs(value - (i < 384 ? before[i] : rows[i])) < 1e-6) && dot(rows) !== dot(before),
    "each row has its own adapter",
  );
  const alone = () => pipe(texts[0], { pooling: "mean", normalize: true });
  check((await codeOf(alone)) === "shape-mismatch", "two adapters for one row are refused");
  attached.adapters = null;
  check(
    [...(await alone()).data].every((value, i) => Math.abs(value - before[i]) < 1e-5),
    "after a refusal it runs as ever",
  );
  check((await codeOf(() => attach(pipe, model))) === "unknown-value", "a pipeline is attached to once");
  attached[Symbol.dispose]();
  check(
    (await embed()).every((value, i) => value === before[i]),
    "detached, it is the pipeline that it was",
  );
  await model[Symbol.asyncDispose]();
  const gone = attach(pipe, model);
  check((await codeOf(embed)) === "disposed", "a model that was disposed of is not run");
  gone[Symbol.dispose]();
  gone[Symbol.dispose]();
  check(
    (await embed()).every((value, i) => value === before[i]),
    "and does not stay behind",
  );
  return pipe;
}

/** Two pipelines, each with a model and an adapter of its own, at the same time, in batches, with errors and swaps in the middle. */
async function hostile(extractor) {
  const path = join(folder, "llama/onnx/model.onnx");
  const pipe = await pipeline("text-generation", "llama", { dtype: "fp32" });
  const model = await openModel(path, { ort, targets: ["q_proj", "v_proj"] });
  check((await codeOf(() => attach(extractor, model))) === "wrong-base", "a model of another file is refused");
  const embedder = await openModel(join(folder, "minilm/onnx/model.onnx"), { ort, targets: ["query"] });
  const [attached, other] = [attach(pipe, model), attach(extractor, embedder)];
  const prompts = ["My cat is ", "You and I"];
  const generate = (texts, options) => pipe(texts, { max_new_tokens: 6, do_sample: false, ...options });
  const plain = (await generate(prompts)).map(([{ generated_text: text }]) => text);
  const adapter = await model.createAdapter({ rank: 2, alpha: 8, learning: { learningRate: 0.5, ewcLambda: 0 } });
  const feeds = await attached.encode(["My cat is Tomas and"]);
  const request = { feeds, loss: tokenNll({ labels: feeds.input_ids }) };
  const vectors = [];
  for (let step = 0; step < 30; step++) {
    const learning = attached.learn(request, { adapter });
    vectors.push(await extractor("a walk"));
    await learning;
  }
  check(
    vectors.every(({ data }) => data.every((value, i) => value === vectors[0].data[i])),
    "two attached pipelines run at the same time",
  );
  attached.adapters = [null, adapter];
  const mixed = (await generate(prompts)).map(([{ generated_text: text }]) => text);
  check(mixed[0] === plain[0] && mixed[1] !== plain[1], "in a batch that generates, each row has its own adapter");
  attached.adapters = adapter;
  const [alone] = await generate(prompts[1]);
  let tokens = 0;
  const swapping = {
    put() {
      if (tokens++ === 3) attached.adapters = null;
    },
    end() {},
  };
  const [swapped] = await generate(prompts[1], { streamer: swapping });
  const same = (a, b) => [...a].findIndex((letter, i) => letter !== b[i]);
  const apart = same(swapped.generated_text, alone.generated_text);
  check(
    attached.adapters === null && (apart === -1 || apart >= prompts[1].length + 2),
    "an adapter may be swapped while a text is generated, and acts from then on",
  );
  attached.adapters = adapter;
  const failing = {
    put() {
      throw new RangeError("stop");
    },
    end() {},
  };
  check((await codeOf(() => generate(prompts[1], { streamer: failing }))) === "RangeError", "an error in the middle");
  check((await generate(prompts[1]))[0].generated_text === alone.generated_text, "is over with the next call");
  check((await codeOf(() => attached.learn({ ...request, feeds: {} }))) === "unknown-value", "feeds are checked");
  check((await codeOf(() => attached.encode([]))) === "shape-mismatch", "no texts are refused");
  other[Symbol.dispose]();
  attached[Symbol.dispose]();
  const detached = (await generate(prompts)).map(([{ generated_text: text }]) => text);
  check(
    detached.every((text, i) => text === plain[i]),
    "detached, both are what they were",
  );
  await pipe.dispose();
  await model[Symbol.asyncDispose]();
  await embedder[Symbol.asyncDispose]();
}

async function generation() {
  const path = layOut("llama", "tiny-llama/optimum-with-past");
  byteTokenizer(join(folder, "llama"));
  const pipe = await pipeline("text-generation", "llama", { dtype: "fp32" });
  const generate = async (options) => (await pipe("My cat is ", { max_new_tokens: 4, ...options }))[0].generated_text;
  const before = await generate({ do_sample: false });
  const model = await openModel(path, { ort, targets: "all-linear" });
  const attached = attach(pipe, model);
  check((await generate({ do_sample: false })) === before, "text-generation without an adapter is the same");
  attached.adapters = await model.createAdapter({ rank: 4, alpha: 8, learning: { learningRate: 0.3, ewcLambda: 0 } });
  const feeds = await attached.encode(["My cat is Tom."]);
  const labels = feeds.input_ids;
  for (let step = 0; step < 150; step++) await attached.learn({ feeds, loss: tokenNll({ labels }) });
  const after = await generate({ do_sample: false });
  check(after === "My cat is Tom.", `greedy, with the cache of keys and values, it says ${JSON.stringify(after)}`);
  const sampled = await generate({ do_sample: true, temperature: 0.1, top_k: 5 });
  check(sampled.startsWith("My cat is "), `sampled: ${JSON.stringify(sampled)}`);
  attached[Symbol.dispose]();
  check((await generate({ do_sample: false })) === before, "detached, it is the pipeline that it was");
  await model[Symbol.asyncDispose]();
}

try {
  const extractor = await embeddings();
  await generation();
  await hostile(extractor);
} finally {
  rmSync(folder, { recursive: true });
}
