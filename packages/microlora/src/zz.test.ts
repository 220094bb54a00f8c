import { test } from "vitest";
import { floats, thrownBy, withElement } from "./base/samples.test-support.js";
import { MicroLora } from "./micro-lora.js";
const x = floats(7, 1), gradient = floats(5, 2);
test("dbg", async () => {
  for (const weights of [1e-30, 1, 1e19, 1e30]) {
  const lora = await MicroLora.create({ inFeatures: 7, outFeatures: 5, bias: true, targetModules: ["m"], kernels: "scalar", learning: { learningRate: 1e10, ewcLambda: 1e-5 } });
  lora.getAdapter("m")!.loraB.set(floats(10, 3, weights));
  const M = [1e-45, 1e-38, 1e-30, 1e-20, 1e-10, 1e10, 1e19, 1e25, 1e38, 3.4e38];
  for (const a of M) {
    for (const b of M) {
      const hx = withElement(x, 3, 0).map((v) => v * a), hg = withElement(gradient, 1, 0).map((v) => v * b);
      for (const [name, f] of [["learn", () => lora.learn(hx, { gradient: hg })], ["adapt", () => lora.adapt(hx, { gradient: hg, reward: -1 })]] as const) {
        const before = lora.exportState().adapters[0]!;
        const e = thrownBy(f);
        const s = lora.exportState().adapters[0]! as any;
        for (const k of ["loraA", "loraB", "bias", "fisher", "fisherRunning", "anchor", "pending"]) if (s[k] && !s[k].every(Number.isFinite)) { console.log(weights, a, b, name, k, String(e), before, s[k]); return; }
      }
    }
    thrownBy(()=>lora.consolidate());
    thrownBy(()=>lora.applyUpdates(1e10));
  }}
});
