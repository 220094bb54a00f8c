import { describe, expect, test } from "vitest";
import { adamw } from "../adapter/methods/optimizers.js";
import { type LoadOptions, MicroLora } from "../adapter/micro-lora.js";
import { expectRejection, expectSameBytes } from "../base/refusals.test-support.js";
import { floats, uniformFrom } from "../base/samples.test-support.js";
import { partsOf, withHeader } from "../checkpoint/forge.test-support.js";
import { METHODS } from "./all-methods.js";
import { pageHinkley } from "./boundaries.js";
import type { LearnerConfig } from "./config.js";
import { Learner } from "./learner.js";
import { click, items, make, N, serve } from "./learner.test-support.js";

describe("a restart", () => {
  const config: LearnerConfig = {
    boundary: pageHinkley({ threshold: 2, least: 5 }),
    guard: { hold: 6, share: 3, every: 5 },
    replay: { bytes: 4096, perUpdate: 2 },
    maxDelta: 1.5,
    seed: 3,
  };
  const options: LoadOptions = { methods: METHODS };

  function live(learner: Learner, from: number): void {
    for (let k = from; k < from + 60; k++) {
      const gate = k % 5 ? 1 : 0.4;
      const request = { ...serve(learner, floats(N, k % 20)), gate, session: `s${k % 3}`, latencyMicroseconds: k };
      if (k % 4 === 0) learner.learn(request, { rating: k % 8 ? 1 : -1, item: items[k % 6]! });
      else if (k % 4 === 1) learner.learn(request, click(k % 6));
      else if (k % 4 === 2) learner.explore(`r${k}`, request, k);
      else learner.keep(`r${k}`, request, k);
      if (k % 4 === 3 && k >= 12) learner.learn(`r${k - 9}`, { quality: Math.sin(k) ** 2 }, k);
    }
  }

  test("goes on bit for bit", async () => {
    using learner = await make(config, { ewcLambda: 1, optimizer: adamw() });
    live(learner, 0);
    using back = await Learner.fromBytes(learner.toBytes(), options);
    expectSameBytes(back.toBytes(), learner.toBytes());
    live(learner, 60);
    live(back, 60);
    expectSameBytes(back.toBytes(), learner.toBytes());
  });

  test("what was exported is not touched by what comes later", async () => {
    using learner = await make(config);
    live(learner, 0);
    const state = learner.exportState();
    using then = await Learner.fromState(state, options);
    live(learner, 60);
    using again = await Learner.fromState(state, options);
    expectSameBytes(again.toBytes(), then.toBytes());
  });

  test("a state with any part missing or of another kind is refused, never a TypeError", async () => {
    using learner = await make(config);
    live(learner, 0);
    const state = learner.exportState();
    for (const nonsense of [undefined, -3, "state", [], {}]) {
      for (const key of Object.keys(state)) {
        const broken = { ...state, [key]: nonsense } as never;
        const outcome = await Learner.fromState(broken, options).then(
          () => `accepted ${key} ${String(nonsense)}`,
          (error: unknown) => (error as Error).name,
        );
        const fine = Array.isArray(nonsense) && ["boundaryState", "modules", "sessions"].includes(key);
        if (!fine) expect(outcome).toBe("MicroLoraError");
      }
    }
  });

  test("any field of a file that is missing, null or of another kind is refused, never a TypeError", async () => {
    using learner = await make(config);
    live(learner, 0);
    const bytes = learner.toBytes();
    const header: unknown = JSON.parse(partsOf(bytes).header);
    const uniform = uniformFrom(5);
    const paths = pathsOf(header);
    for (let k = 0; k < 600; k++) {
      const path = paths[Math.floor(uniform() * paths.length)]!;
      const lying = withHeader(bytes, (copy) => {
        const parent = path.slice(0, -1).reduce((at, key) => at[key], copy);
        const wrong = [undefined, null, -1, "text", [], {}, 1e300][Math.floor(uniform() * 7)];
        if (wrong === undefined) delete parent[path.at(-1)!];
        else parent[path.at(-1)!] = wrong;
      });
      const outcome = await Learner.fromBytes(lying, options).then(
        (accepted) => (Buffer.compare(accepted.toBytes(), lying) === 0 ? "MicroLoraError" : "read as something else"),
        (error: unknown) => (error as Error).name,
      );
      expect(outcome, path.join(".")).toBe("MicroLoraError");
    }
  });

  test("truncated or flipped bytes are refused", async () => {
    using learner = await make(config);
    live(learner, 0);
    const bytes = learner.toBytes();
    await expectRejection(Learner.fromBytes(bytes.subarray(0, 500), options), "truncated-checkpoint");
    const flipped = bytes.slice();
    flipped[900]! ^= 4;
    await expectRejection(Learner.fromBytes(flipped, options), "checksum-mismatch");
    await expectRejection(MicroLora.fromBytes(bytes, options), "not-a-checkpoint");
    await expectRejection(Learner.fromBytes(bytes), "invalid-config", "boundary");
  });
});

function pathsOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [[key], ...pathsOf(child).map((path) => [key, ...path])]);
}
