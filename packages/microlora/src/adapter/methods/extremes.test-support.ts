import { expect } from "vitest";
import { expectSameBytes } from "../../base/refusals.test-support.js";
import { floats } from "../../base/samples.test-support.js";
import { METHODS } from "../../learner/all-methods.js";
import { MicroLora } from "../micro-lora.js";

/**
 * Learns in every way from requests whose input and gradient are of these sizes: each is taken, or refused without a trace,
 * and the state that comes of it is one that a checkpoint may hold.
 */
export async function expectTakenOrRefused(
  lora: MicroLora,
  inputs: readonly number[],
  gradients: readonly number[],
): Promise<void> {
  const { inFeatures, outFeatures } = lora.config.modules[0]!;
  for (const a of inputs) {
    for (const b of gradients) {
      const x = floats(inFeatures, 1).map((v) => v * a);
      const gradient = floats(outFeatures, 2).map((v) => v * b);
      for (const call of [
        () => lora.learn(x, { gradient }),
        () => lora.adapt(x, { gradient }),
        () => lora.applyUpdates(),
        () => lora.consolidate(),
      ]) {
        const before = lora.toBytes();
        try {
          call();
        } catch (error) {
          expect(error).toMatchObject({ name: "MicroLoraError", code: "update-overflow" });
          expectSameBytes(lora.toBytes(), before);
        }
      }
    }
  }
  const options = { kernels: lora.runtime.kernels.name, methods: METHODS };
  (await MicroLora.fromBytes(lora.toBytes(), options))[Symbol.dispose]();
}
