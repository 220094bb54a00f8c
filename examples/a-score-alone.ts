// A bare score says how good an answer was, not what would have been better. So the answer is varied by known noise, and the score
// that comes back later tells whether that was the right way (REINFORCE). It works, and needs many more requests than a gradient.
import { Learner, MicroLora } from "microlora";

const width = 16;
const x = Float32Array.from({ length: width }, (_, i) => Math.sin(i));
const base = Float32Array.from({ length: width }, (_, i) => Math.cos(2 * i));
const wanted = Float32Array.from({ length: width }, (_, i) => Math.cos(3 * i + 1));

const norm = (a: Float32Array) => Math.hypot(...a);
const cosine = (a: Float32Array, b: Float32Array) => a.reduce((s, v, i) => s + v * b[i]!, 0) / (norm(a) * norm(b));

async function createLearner(learningRate: number): Promise<Learner> {
  const learning = { learningRate, ewcLambda: 0 };
  const lora = await MicroLora.create({ hiddenSize: width, bias: true, targetModules: ["answer"], learning });
  return new Learner(lora, { exploration: 0.2 });
}

/** What the model gives out: the base's answer with the delta. */
function answer(learner: Learner): Float32Array {
  const output = base.slice();
  learner.lora.forwardAdd(x, "answer", output);
  return output;
}

/** Requests until the answer is right, a cosine of 0.95. */
function requestsUntilRight(learner: Learner, request: (k: number) => void): number {
  for (let k = 0; k < 20_000; k++) {
    if (cosine(answer(learner), wanted) > 0.95) return k;
    request(k);
  }
  return Number.POSITIVE_INFINITY;
}

using scored = await createLearner(0.001);
const byScore = requestsUntilRight(scored, (k) => {
  const output = answer(scored);
  scored.explore(`request-${k}`, { x, output }, k);
  const quality = (1 + cosine(output, wanted)) / 2; // what a user would say of it
  scored.learn(`request-${k}`, { quality }, k);
});

using told = await createLearner(0.2);
const byGradient = requestsUntilRight(told, () => {
  const output = answer(told);
  const c = cosine(output, wanted);
  const gradient = output.map((v, i) => (c * v) / norm(output) ** 2 - wanted[i]! / (norm(output) * norm(wanted)));
  told.learn({ x }, { gradient });
});

console.log(`right after ${byScore} scores, or after ${byGradient} gradients`);

try {
  told.learn({ x }, { quality: 1 });
} catch (error) {
  console.log(`without an exploration: ${(error as { code: string }).code}`);
}
