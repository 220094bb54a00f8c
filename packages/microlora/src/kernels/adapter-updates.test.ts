import { describe, test } from "vitest";
import { blockLength, CASES, exactGradient, operands } from "./adapter-kernels.test-support.js";
import { exact, expectWithin, IMPLEMENTATIONS } from "./kernels.test-support.js";

const SCALING = 0.75;

describe.each(IMPLEMENTATIONS)("adapter updates: $name", ({ arena, kernels }) => {
  const RATE = -0.3;
  const DECAY = 0.999;
  const PENALTY = 0.2;

  test.each([
    { tracked: 0, penalised: 0 },
    { tracked: 1, penalised: 0 },
    { tracked: 0, penalised: 1 },
    { tracked: 1, penalised: 1 },
  ])("step, running Fisher $tracked, penalty $penalised", ({ tracked, penalised }) => {
    for (const shape of CASES) {
      const { values, w, x, g, u, v } = operands(arena, shape);
      const length = blockLength(shape);
      const [running, fisher] = [arena.random(length).map(Math.abs), arena.random(length).map(Math.abs)];
      const anchor = arena.random(length);
      const runningAt = tracked && arena.place(running, shape.shift + 1);
      const fisherAt = penalised && arena.place(fisher, shape.shift + 2);
      const anchorAt = penalised && arena.place(anchor, shape.shift + 3);
      arena.writesOnly([[w, length], ...(tracked ? [[runningAt, length] as const] : [])], () =>
        kernels.forShape(shape).step(w, x, g, u, v, SCALING, RATE, runningAt, DECAY, fisherAt, anchorAt, PENALTY),
      );
      const gradient = exactGradient(shape, values.x, values.g, values.u, values.v, SCALING);
      const stepped = gradient.map((gradient_i, i) => {
        const pull = penalised * PENALTY * fisher[i]!;
        const [old, rest] = [values.w[i]!, anchor[i]!];
        return exact([old, -RATE * gradient_i, -pull * old, pull * rest]);
      });
      expectWithin(arena.read(w, length), stepped, 4);
      if (tracked) {
        const squared = gradient.map((gradient_i, i) => exact([DECAY * running[i]!, (1 - DECAY) * gradient_i ** 2]));
        expectWithin(arena.read(runningAt, length), squared, 2);
      }
    }
  });

  test.each([{ tracked: 0 }, { tracked: 1 }])("accumulate, running Fisher $tracked", ({ tracked }) => {
    for (const shape of CASES) {
      const { values, x, g, u, v } = operands(arena, shape);
      const length = blockLength(shape);
      const [pending, running] = [arena.random(length), arena.random(length).map(Math.abs)];
      const pendingAt = arena.place(pending, shape.shift);
      const runningAt = tracked && arena.place(running, shape.shift + 1);
      const reward = -0.6;
      arena.writesOnly([[pendingAt, length], ...(tracked ? [[runningAt, length] as const] : [])], () =>
        kernels.forShape(shape).accumulate(pendingAt, x, g, u, v, SCALING, reward, runningAt, DECAY),
      );
      const gradient = exactGradient(shape, values.x, values.g, values.u, values.v, SCALING);
      const summed = gradient.map((gradient_i, i) => exact([pending[i]!, reward * gradient_i]));
      expectWithin(arena.read(pendingAt, length), summed, 2);
      if (tracked) {
        const squared = gradient.map((gradient_i, i) => exact([DECAY * running[i]!, (1 - DECAY) * gradient_i ** 2]));
        expectWithin(arena.read(runningAt, length), squared, 2);
      }
    }
  });

  test("the running Fisher neither underflows nor overflows before its result does", () => {
    const shape = { rank: 1, inFeatures: 6, outFeatures: 6, bias: 0, shift: 0 } as const;
    const { w, x, g, u, v } = operands(arena, shape);
    const running = arena.place(new Float32Array(12));
    arena.f32.fill(1e20, x / 4, x / 4 + 6);
    arena.f32.fill(1e-25, g / 4, g / 4 + 6);
    arena.f32[v / 4] = 1e-22;
    arena.f32[u / 4] = 1e24;
    kernels.forShape(shape).step(w, x, g, u, v, 1, 1, running, 0.5, 0, 0, 0);
    const expected = [...Array(6).fill(0.5e-4), ...Array(6).fill(0.5e-2)].map((value) => exact([value]));
    expectWithin(arena.read(running, 12), expected, 2);
  });
});
