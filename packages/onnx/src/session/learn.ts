import type { MicroLora } from "microlora";
import type { AdapterGradients } from "./adapters.js";

/** Steps every adapter along its gradients. */
export function learnFrom(all: ReadonlyMap<MicroLora, AdapterGradients>): { readonly gradientNorm: number } {
  let squares = 0;
  for (const [adapter, gradients] of all) {
    const { learningRate } = adapter.config.learning;
    for (const [module, { loraA, loraB }] of gradients) {
      const lora = adapter.getAdapter(module)!;
      squares += step(lora.loraA, loraA, learningRate) + step(lora.loraB, loraB, learningRate);
    }
  }
  return { gradientNorm: Math.sqrt(squares) };
}

function step(weights: Float32Array, gradient: Float32Array, rate: number): number {
  let squares = 0;
  for (let i = 0; i < weights.length; i++) {
    weights[i]! -= rate * gradient[i]!;
    squares += gradient[i]! ** 2;
  }
  return squares;
}
