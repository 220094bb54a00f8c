// One adapter beside one layer of a model: it adds a delta to the layer's output, and learns from dLoss/dOutput.
import { MicroLora } from "microlora";

using lora = await MicroLora.create({
  hiddenSize: 256,
  rank: 2,
  targetModules: ["q_proj"],
  learning: { learningRate: 0.0005 },
});

// Buffers in the adapter's own memory are used without copying; ordinary Float32Arrays work as well.
const x = lora.allocate(256);
const y = lora.allocate(256);
const gradient = lora.allocate(256);
for (let i = 0; i < 256; i++) x[i] = Math.sin(i);

// The target: the layer's output should move to cos(i). Loss = |y - target|^2 / 2, so dLoss/dy = y - target.
const target = Float32Array.from({ length: 256 }, (_, i) => Math.cos(i));

let loss = 0;
for (let request = 0; request < 200; request++) {
  y.fill(0);
  const token = lora.forwardAdd(x, "q_proj", y, { keep: true });
  for (let i = 0; i < 256; i++) gradient[i] = y[i]! - target[i]!;
  loss = gradient.reduce((sum, g) => sum + g * g, 0) / 2;
  if (request === 0) console.log(`loss before: ${loss.toFixed(3)}`);
  lora.learn(x, { gradient, module: "q_proj" }, { token });
}
console.log(`loss after ${lora.adaptationCount} requests: ${loss.toFixed(3)}`);
console.log(`${lora.paramCount} parameters, ${lora.memoryBytes} bytes`);
