// Feedback that comes late and out of order: requests are kept by id, bounded in count, bytes and age, and survive a restart.
import { Learner, MicroLora, MicroLoraError } from "microlora";

const width = 32;
const vectorOf = (seed: number) => Float32Array.from({ length: width }, (_, i) => Math.sin(seed * (i + 1)));
const answers = [1, 2, 3, 4].map(vectorOf);

const lora = await MicroLora.create({ hiddenSize: width, bias: true, targetModules: ["answer"] });
using learner = new Learner(lora, { pending: { count: 100, bytes: 1_000_000, age: 60_000 } });

/** Serves a request: the output is the base's, here its input, and the delta. */
function serve(id: string, x: Float32Array, now: number): Float32Array {
  const output = x.slice();
  lora.forwardAdd(x, "answer", output);
  learner.keep(id, { x, output, session: "tuesday", latencyMicroseconds: 12 }, now);
  return output;
}

for (let k = 0; k < 5; k++) serve(`request-${k}`, vectorOf(10 + k), 1000 * k);

// Any order; each is learned from with its own input and the weights of now.
learner.learn("request-3", { chosen: answers[2]!, shown: answers }, 6000);
learner.learn("request-0", { rating: -1, item: answers[1]! }, 7000);

// The program may stop at any moment: what is kept is part of the state.
using restored = await Learner.fromBytes(learner.toBytes());
restored.learn("request-4", { chosen: answers[2]!, rejected: [answers[0]!] }, 8000);
console.log(`still waited for: ${restored.report().pending.count}`);
console.log(`mean reward on tuesday: ${restored.report().sessions.tuesday?.meanReward.toFixed(2)}`);

for (const [id, now] of [
  ["request-3", 9000],
  ["request-1", 90_000],
  ["request-2", 100],
] as const) {
  try {
    restored.learn(id, { rating: 1, item: answers[0]! }, now);
  } catch (error) {
    if (error instanceof MicroLoraError) console.log(`${id}: ${error.code}`);
  }
}
