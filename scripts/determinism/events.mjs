/**
 * Plays a fixed list of events with the SIMD kernels: a MicroLora under each optimiser and EWC, a Learner with all that goes with it, and a
 * Personalizer over an index.
 * @param core the exports of `microlora`
 * @returns {Promise<Uint8Array[]>} the states that are left, as files
 */
export async function play(core) {
  const runtime = await core.Runtime.create({ kernels: "simd", memoryBytes: 2 ** 22 });
  const methods = [
    {},
    { optimizer: core.adamw(), ewc: core.rwalk() },
    { optimizer: core.momentum(), ewc: core.productEwc(), clipNorm: 0.5 },
    { optimizer: core.adaptiveRows(), ewc: core.ewcPlusPlus() },
  ];
  const learned = methods.map((each, i) => playMicroLora(core, runtime, each, i).toBytes());
  return [...learned, playLearner(core, runtime).toBytes(), (await playPersonalizer(core, runtime)).toBytes()];
}

/** Numbers in [-1, 1) that depend on the seed alone. */
function floats(length, seed) {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function playMicroLora({ MicroLora }, runtime, method, seed) {
  const learning = { learningRate: 0.02, ewcLambda: 0.5, ...method };
  const shape = { inFeatures: 67, outFeatures: 45, targetModules: ["m"], rank: 2, bias: true };
  const lora = MicroLora.createSync({ ...shape, seed, learning, runtime });
  for (let k = 0; k < 200; k++) {
    const x = floats(67, k);
    lora.forward(x, "m");
    lora.learn(x, { gradient: floats(45, 1000 + k), module: "m" });
    if (k % 70 === 69) lora.consolidate();
  }
  return lora;
}

function playLearner({ MicroLora, Learner, everyRequests }, runtime) {
  const lora = MicroLora.createSync({ inFeatures: 33, outFeatures: 21, targetModules: ["m"], seed: 9, runtime });
  const safeguards = { guard: {}, replay: { bytes: 8192, perUpdate: 1 }, boundary: everyRequests(40), maxDelta: 1 };
  const learner = new Learner(lora, { score: "cosine", temperature: 0.3, ...safeguards, seed: 5 });
  const shown = [1, 2, 3, 4].map((k) => floats(21, 2000 + k));
  for (let k = 0; k < 200; k++) {
    learner.learn({ x: floats(33, k), output: floats(21, 3000 + k) }, { chosen: shown[k % 4], shown });
  }
  return learner;
}

async function playPersonalizer({ Personalizer, EmbeddingIndex }, runtime) {
  const documents = Array.from({ length: 60 }, (_, j) => [j, floats(64, 4000 + j)]);
  const index = await EmbeddingIndex.create(documents, { runtime });
  const user = Personalizer.createSync({
    dimensions: 64,
    slow: { rank: 1, gated: true },
    recall: { rows: 20 },
    runtime,
  });
  for (let k = 0; k < 200; k++) {
    const query = floats(64, 5000 + (k % 37));
    const shown = user.search(query, index, 10).map(({ id }) => id);
    if (k % 5 === 4) user.learn({ query, stars: 1 + (k % 5), item: shown[0], index });
    else user.learn({ query, chosen: k % 7 === 6 ? null : shown[k % 10], shown, index });
  }
  return user;
}
