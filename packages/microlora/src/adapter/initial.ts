import { randomUniform } from "../base/random.js";

/**
 * How A starts; B and the bias start at zero, so that a fresh adapter changes nothing.
 * - `kaiming`: uniform in +-1/sqrt(inFeatures), as Hu et al. 2021 and PEFT do (Kaiming uniform with a = sqrt 5)
 * - `original`: the golden-ratio sequence of the Rust file's `LoraAdapter::new`, bit for bit
 */
export type Init = "kaiming" | "original";

type Fill = (loraA: Float32Array, rank: number, inFeatures: number, seed: number, stream: number) => void;

/** Writes the initial A [rank, inFeatures]. */
export const initialA: { readonly [K in Init]: Fill } = {
  kaiming(loraA, _rank, inFeatures, seed, stream) {
    const bound = 1 / Math.sqrt(inFeatures);
    for (let k = 0; k < loraA.length; k++) loraA[k] = (randomUniform(seed, stream, k) * 2 - 1) * bound;
  },

  original(loraA, rank, inFeatures) {
    const f = Math.fround;
    const std = f(f(Math.sqrt(f(2 / inFeatures))) * f(0.01));
    for (let i = 0; i < inFeatures; i++) {
      for (let j = 0; j < rank; j++) {
        const golden = f(f(i * rank + j) * f(0.618033988749895));
        loraA[j * inFeatures + i] = f(f(f(f(golden % 1) - 0.5) * 2) * std);
      }
    }
  },
};
