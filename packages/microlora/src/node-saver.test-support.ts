import type { MicroLora } from "./adapter/micro-lora.js";
import { floats } from "./base/samples.test-support.js";
import { load, save } from "./node.js";

/** One step of learning that depends on nothing but the state. */
export function learnNext(lora: MicroLora): void {
  const seed = lora.adaptationCount;
  lora.learn(floats(32, seed), { gradient: floats(32, seed + 1000) });
}

/** Goes on from a file's state and saves it after each step, until it is killed. */
export async function saveForever(path: string): Promise<never> {
  const lora = await load(path, { kernels: "simd" });
  for (;;) {
    learnNext(lora);
    await save(lora, path);
    process.stdout.write(".");
  }
}
