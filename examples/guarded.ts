// A stream that cannot be trusted: steps are clipped, the delta has a hard limit, recent feedback is held back as a check, a rise of
// the loss ends a task, and what was learned can be taken back.
import { adaptiveRows, cosineDecay, Learner, MicroLora, pageHinkley } from "microlora";

const width = 32;
const vectorOf = (seed: number) => Float32Array.from({ length: width }, (_, i) => Math.sin(seed * (i + 1)));
const answers = [1, 2, 3, 4].map(vectorOf);

const lora = await MicroLora.create({
  hiddenSize: width,
  bias: true,
  targetModules: ["answer"],
  learning: {
    optimizer: adaptiveRows(), // one second moment a row: 20 bytes for this adapter
    schedule: cosineDecay({ warmUp: 20, updates: 2000, floor: 0.3 }),
    learningRate: 0.002,
    clipNorm: 1,
  },
});
using learner = new Learner(lora, {
  boundary: pageHinkley({ threshold: 5 }),
  guard: { hold: 16, share: 4, every: 16 },
  maxDelta: 2,
  undo: 5,
});

const inputs = [5, 6, 7, 8].map(vectorOf);
const output = (x: Float32Array) => lora.forward(x, "answer").map((delta, i) => delta + x[i]!);
const cosine = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, v, i) => sum + v * b[i]!, 0) / (Math.hypot(...a) * Math.hypot(...b));
const right = () =>
  inputs.filter((x, k) => answers.every((other) => cosine(output(x), answers[k]!) >= cosine(output(x), other)));

/** Feedback of somebody who wants answer k + shift for input k. */
function live(requests: number, shift: number): void {
  for (let request = 0; request < requests; request++) {
    const k = request % 4;
    const x = inputs[k]!;
    const chosen = answers[(k + shift) % 4]!;
    const { boundary, rolledBack } = learner.learn({ x, output: output(x) }, { chosen, shown: answers });
    if (boundary) console.log(`after ${request + 1} requests of another taste: a new task, the old one is held on to`);
    if (rolledBack) console.log(`request ${request + 1}: the guard took the last updates back`);
  }
}

live(400, 0);
console.log(`right for ${right().length} of 4 inputs`);

const snapshot = learner.snapshot();
for (let attack = 0; attack < 60; attack++) {
  const { rolledBack } = learner.learn({ x: inputs[attack % 4]! }, { gradient: vectorOf(99).map((v) => 1e6 * v) });
  if (rolledBack) console.log(`attack ${attack + 1}: the guard took the last updates back`);
}
console.log(`norm of the delta ${learner.report().capacity.answer!.norm.toFixed(2)}, limit 2`);
console.log(`undone: ${learner.undo(3)}`);
learner.rollback(snapshot);
console.log(`right for ${right().length} of 4 inputs after a rollback`);

live(200, 1);
const { guard, boundaries, capacity } = learner.report();
console.log(`boundaries ${boundaries}, promoted ${guard!.promoted}, taken back ${guard!.rejected}`);
console.log(`effective rank ${capacity.answer!.effectiveRank.toFixed(2)} of ${capacity.answer!.rank}`);
