// Writes checkpoints with a build of an older commit, and what that build answers with them: node write.mjs VERSION ROOT TO
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [version, root, to] = [Number(process.argv[2]), resolve(process.argv[3]), process.argv[4]];
const load = (path) => import(pathToFileURL(join(root, path)));
const core = await load("packages/microlora/dist/index.js");
const { MicroLora, Personalizer, Runtime } = core;
const runtime = await Runtime.create({ kernels: "simd", memoryBytes: 2 ** 22 });

/** Numbers in [-1, 1] that depend on the seed alone; the tests make the same. */
function floats(length, seed) {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const expected = {};

/** Keeps the bytes of a state under a name, then what the state answers from there on. */
async function keep(name, state, answers) {
  writeFileSync(join(to, `${name}-${version}.mlora`), await state.toBytes());
  expected[name] = Object.fromEntries(
    Object.entries(await answers()).map(([key, value]) => [key, value instanceof Float32Array ? [...value] : value]),
  );
}

function stepOf(lora, k) {
  const x = floats(6, k);
  lora.forward(x, "a");
  const { gradientNorm } = lora.learn(x, { gradient: floats(5, 100 + k), module: "a" });
  return gradientNorm;
}

async function microLora(name, learning, extra = {}) {
  const lora = await MicroLora.create({
    inFeatures: 6,
    outFeatures: 5,
    targetModules: ["a", "b"],
    rank: 2,
    bias: true,
    seed: 7,
    baseModel: "golden",
    learning,
    runtime,
    ...extra,
  });
  for (let k = 0; k < 12; k++) {
    stepOf(lora, k);
    if (k === 5) lora.consolidate();
  }
  await keep(name, lora, () => {
    const before = lora.forward(floats(6, 50), "a");
    const other = lora.forward(floats(6, 50), "b");
    const gradientNorm = stepOf(lora, 60);
    return { before, other, gradientNorm, after: lora.forward(floats(6, 50), "a"), count: lora.adaptationCount };
  });
}

await microLora("micro-lora", { learningRate: 0.05, ewcLambda: 0.5, fisherDecay: 0.9 });
if (version > 1) {
  await microLora("adamw-rwalk", {
    learningRate: 0.02,
    ewcLambda: 0.5,
    optimizer: core.adamw(),
    ewc: core.rwalk(),
    clipNorm: 1,
  });
  await microLora("momentum-product", {
    learningRate: 0.02,
    ewcLambda: 0.5,
    optimizer: core.momentum(),
    ewc: core.productEwc(),
  });
}
if (version > 2)
  await microLora("ranks", { learningRate: 0.05, ewcLambda: 0.5 }, { rankPattern: { b: 1 }, alphaPattern: { b: 3 } });

if (version > 1) {
  const lora = await MicroLora.create({
    inFeatures: 6,
    outFeatures: 5,
    targetModules: ["a"],
    seed: 3,
    learning: { learningRate: 0.05 },
    runtime,
  });
  const learner = new core.Learner(lora, {
    score: "cosine",
    temperature: 0.3,
    guard: { hold: 4, share: 3, every: 4 },
    replay: { bytes: 2048, perUpdate: 1 },
    boundary: core.everyRequests(5),
    maxDelta: 1,
    undo: 2,
    seed: 5,
  });
  const items = [1, 2, 3].map((k) => floats(5, 200 + k));
  const request = (k) => ({ x: floats(6, k), output: floats(5, 300 + k) });
  const feedback = (k) => ({ chosen: items[k % 3], shown: items });
  for (let k = 0; k < 14; k++) learner.learn(request(k), feedback(k));
  learner.keep("late", request(30), 1000);
  await keep("learner", learner, () => {
    const before = lora.forward(floats(6, 50), "a");
    const { loss } = learner.learn("late", feedback(1), 2000);
    const next = learner.learn(request(31), feedback(2), 2001);
    return { before, loss, next: next.loss, after: lora.forward(floats(6, 50), "a") };
  });
}

{
  const user = await Personalizer.create({ dimensions: 8, seed: 4, baseModel: "golden", runtime });
  const documents = [0, 1, 2, 3].map((k) => floats(8, 400 + k));
  for (let k = 0; k < 9; k++) user.learn({ query: floats(8, 500 + k), chosen: documents[k % 4], shown: documents });
  await keep("personalizer", user, () => ({
    clicks: user.clicks,
    slow: user.slow.forward(floats(8, 503), "query"),
    near: user.transform(floats(8, 503)),
    far: user.transform(floats(8, 900)),
  }));
}

// Before version 3 a ModelLearner had no file.
if (version > 2) {
  const { ModelLearner, tokenNll } = await load("packages/onnx/dist/index.js");
  const { openModel } = await load("packages/onnx/dist/node.js");
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  const file = join(root, "packages/onnx/fixtures/gpt2-legacy/model.onnx");
  const model = await openModel(file, { ort, targets: ["q_proj"] });
  const adapter = await model.createAdapter({ learning: { learningRate: 0.05 }, seed: 2 });
  const learner = new ModelLearner(model, adapter, { replay: { bytes: 4096, perUpdate: 1 }, maxDelta: 1, seed: 3 });
  const tokens = (k) => ({
    type: "int64",
    dims: [1, 4],
    data: BigInt64Array.from([3, 14, 15, 92], (token) => BigInt((token + 7 * k) % 97)),
  });
  const request = (k) => ({
    feeds: { input_ids: tokens(k), attention_mask: { ...tokens(k), data: new BigInt64Array(4).fill(1n) } },
    loss: tokenNll({ labels: tokens(k) }),
  });
  for (let k = 0; k < 3; k++) await learner.learn(request(k));
  await keep("model-learner", learner, async () => {
    const losses = [];
    for (let k = 3; k < 6; k++) losses.push((await learner.learn(request(k))).loss);
    return { losses };
  });
}

writeFileSync(join(to, `expected-${version}.json`), `${JSON.stringify(expected, null, 1)}\n`);
