// Two tasks one after the other, with and without EWC: consolidate() holds on to what the first one needs.
import { MicroLora } from "microlora";

const width = 32;

// Two inputs that have much in common, each with a target of its own.
const tasks = [1, 2].map((k) => ({
  x: Float32Array.from({ length: width }, (_, i) => 0.2 * Math.sin(3 * i) + 0.24 * Math.cos(5 * k * i)),
  target: Float32Array.from({ length: width }, (_, i) => Math.cos(k * i)),
}));

type Task = (typeof tasks)[number];

/** dLoss/dOutput of the mean squared error. */
function gradientOf(lora: MicroLora, { x, target }: Task): Float32Array {
  return lora.forward(x, "layer").map((value, i) => (value - target[i]!) / width);
}

function lossOf(lora: MicroLora, task: Task): number {
  return gradientOf(lora, task).reduce((sum, g) => sum + g * g, 0) * width;
}

for (const ewcLambda of [0, 10_000]) {
  using lora = await MicroLora.create({
    hiddenSize: width,
    targetModules: ["layer"],
    learning: { learningRate: 0.1, ewcLambda, fisherDecay: 0.999 },
  });
  for (const task of tasks) {
    for (let step = 0; step < 1500; step++) lora.learn(task.x, { gradient: gradientOf(lora, task), module: "layer" });
    lora.consolidate();
  }
  const [first, second] = tasks.map((task) => lossOf(lora, task).toFixed(3));
  console.log(`lambda ${ewcLambda}: loss of the first task ${first}, of the second ${second}`);
}
