import { floats } from "../base/samples.test-support.js";
import type { MicroLoraConfig } from "./config.js";
import type { LoraAdapter } from "./lora-adapter.js";
import { MicroLora } from "./micro-lora.js";

/** A model of one module, `m`, whose weights are far from their initial zeros, as bounds are to be measured from. */
export async function trainedLora(config: Omit<MicroLoraConfig, "targetModules">, seed = 1): Promise<MicroLora> {
  const lora = await MicroLora.create({ alpha: 3, ...config, targetModules: ["m"] });
  fill(lora.getAdapter("m")!, seed);
  return lora;
}

export function fill(adapter: LoraAdapter, seed: number): void {
  adapter.loraA.set(floats(adapter.loraA.length, seed, 0.5));
  adapter.loraB.set(floats(adapter.loraB.length, seed + 1, 0.5));
  adapter.bias?.set(floats(adapter.outFeatures, seed + 2, 0.5));
}
