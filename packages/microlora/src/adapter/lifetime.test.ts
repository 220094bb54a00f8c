import { describe, expect, test } from "vitest";
import { expectRefusal, expectRejection, thrownBy } from "../base/refusals.test-support.js";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { Runtime } from "../kernels/runtime.js";
import { EwcState } from "./ewc-state.js";
import { forwardEach } from "./forward-each.js";
import type { LoraAdapter } from "./lora-adapter.js";
import { MicroLora } from "./micro-lora.js";

const N = 24;
const x = floats(N, 1);
const gradient = floats(N, 2);

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test.each([{ init: "original" }, { bias: true, dropout: 0.3, rsLora: true, seed: 9 }] as const)(
    "reset restores the initial state bit for bit: %o",
    async (options) => {
      const config = { ...options, hiddenSize: N, kernels, targetModules: "attention" } as const;
      using lora = await MicroLora.create(config);
      using fresh = await MicroLora.create(config);
      for (let k = 0; k < 5; k++) lora.learn(floats(N, k), { gradient, module: "q_proj" });
      lora.consolidate();
      for (let k = 0; k < 5; k++) lora.learn(floats(N, k), { gradient });
      lora.adapt(x, { gradient });
      lora.forward(x, "k_proj");
      lora.reset();
      expect(lora.toBytes()).toEqual(fresh.toBytes());
      for (const each of [lora, fresh]) {
        each.learn(x, { gradient });
        each.adapt(x, { gradient });
        each.consolidate();
      }
      expect(lora.toBytes()).toEqual(fresh.toBytes());
    },
  );

  test("disposing gives all memory back, once", async () => {
    const runtime = await Runtime.create({ kernels, memoryBytes: 2 ** 20 });
    const make = () => MicroLora.create({ hiddenSize: N, bias: true, dropout: 0.2, runtime, targetModules: "mlp" });
    const use = (lora: MicroLora) => {
      lora.allocate(100);
      lora.learn(x, { gradient });
      lora.adapt(x, { gradient });
      lora.consolidate();
      EwcState.fromAdapter(lora.getAdapter("up_proj")!)[Symbol.dispose]();
    };
    const first = await make();
    use(first);
    first[Symbol.dispose]();
    const start = runtime.usedBytes;
    const loras = await Promise.all([make(), make(), make()]);
    for (const lora of loras) use(lora);
    expect(runtime.usedBytes).toBeGreaterThan(start);
    for (const lora of [...loras, ...loras]) lora[Symbol.dispose]();
    expect(runtime.usedBytes).toBe(start);
  });
});

describe("use after disposal", () => {
  const USES: Readonly<Record<string, (lora: MicroLora, adapter: LoraAdapter) => unknown>> = {
    "lora.forward": (lora) => lora.forward(x, "q_proj"),
    "lora.forwardAdd": (lora) => lora.forwardAdd(x, "q_proj", x.slice()),
    "lora.learn": (lora) => lora.learn(x, { gradient, module: "q_proj" }),
    "lora.learn in all modules": (lora) => lora.learn(x, { gradient }),
    "lora.adapt": (lora) => lora.adapt(x, { gradient }),
    "lora.applyUpdates": (lora) => lora.applyUpdates(0.1),
    "lora.applyUpdatesWithEwc": (lora) => lora.applyUpdatesWithEwc(0.1, new Map(), 1),
    "lora.consolidate": (lora) => lora.consolidate(),
    "lora.mergeIntoBase": (lora) => lora.mergeIntoBase("q_proj", floats(N * N, 1), { layout: "in-out" }),
    "lora.reset": (lora) => lora.reset(),
    "lora.exportState": (lora) => lora.exportState(),
    "lora.toBytes": (lora) => lora.toBytes(),
    "lora.allocate": (lora) => lora.allocate(4),
    "adapter.forward": (_, adapter) => adapter.forward(x),
    "adapter.forwardAdd": (_, adapter) => adapter.forwardAdd(x, x.slice()),
    "adapter.forwardBatch": (_, adapter) => adapter.forwardBatch(x),
    "adapter.accumulateGradient": (_, adapter) => adapter.accumulateGradient(x, gradient),
    "adapter.applyGradients": (_, adapter) => adapter.applyGradients(0.1),
    "adapter.reset": (_, adapter) => adapter.reset(),
    "adapter.mergeInto": (_, adapter) => adapter.mergeInto(floats(N * N, 1), { layout: "in-out" }),
    "adapter.unmergeFrom": (_, adapter) => adapter.unmergeFrom(floats(N * N, 1), { layout: "in-out" }),
    "adapter.loraA": (_, adapter) => adapter.loraA,
    "adapter.loraB": (_, adapter) => adapter.loraB,
    "adapter.bias": (_, adapter) => adapter.bias,
    "adapter.learningBlock": (_, adapter) => adapter.learningBlock("fisher"),
    forwardEach: (_, adapter) => forwardEach([adapter], x, x.slice()),
    "EwcState.fromAdapter": (_, adapter) => EwcState.fromAdapter(adapter),
  };

  test.each(Object.keys(USES))("%s is refused, enabled or not", async (use) => {
    const lora = await MicroLora.create({ hiddenSize: N });
    const adapter = lora.getAdapter("q_proj")!;
    lora[Symbol.dispose]();
    expectRefusal(() => USES[use]!(lora, adapter), "disposed");
    lora.enabled = false;
    expectRefusal(() => USES[use]!(lora, adapter), "disposed");
  });
});

describe("a full memory", () => {
  /** A runtime of 64 KiB in which about `left` floats are free. */
  async function nearlyFull(left: number): Promise<Runtime> {
    const runtime = await Runtime.create({ memoryBytes: 65_536 });
    for (const scratch of Object.values(runtime.scratch)) scratch.reserve(64);
    const free = Math.floor((runtime.memoryBytes - 16 - runtime.usedBytes) / 4);
    runtime.allocate(free - left);
    return runtime;
  }

  const CHANGES: Readonly<Record<string, (lora: MicroLora) => unknown>> = {
    learn: (lora) => lora.learn(x, { gradient }),
    "learn in one module": (lora) => lora.learn(x, { gradient, module: "v_proj" }),
    adapt: (lora) => lora.adapt(x, { gradient }),
    consolidate: (lora) => lora.consolidate(),
  };

  /** Room for two modules of rank 2, and for 0 to 5 learning blocks beside them. */
  const block = Math.ceil((2 * 2 * N) / 4) * 4;
  const modules = 2 * Math.ceil((2 * 2 * N + 6) / 4) * 4;

  test.each(Object.keys(CHANGES))("%s changes everything or nothing", async (change) => {
    let refusals = 0;
    for (let blocks = 0; blocks < 6; blocks++) {
      const runtime = await nearlyFull(modules + blocks * block);
      using lora = await MicroLora.create({ hiddenSize: N, runtime });
      lora.getAdapter("q_proj")!.loraB.set(floats(2 * N, 7));
      const before = lora.toBytes();
      const error = thrownBy(() => CHANGES[change]!(lora));
      if (error === undefined) continue;
      refusals++;
      expect(error).toMatchObject({ name: "MicroLoraError", code: "memory-full" });
      expect(lora.toBytes()).toEqual(before);
      expect(lora.exportState().adapters.every((adapter) => adapter.pendingUpdates === 0)).toBe(true);
    }
    expect(refusals).toBeGreaterThan(0);
  });

  test("a model that does not fit leaves no memory in use", async () => {
    const runtime = await nearlyFull(modules + block);
    const before = runtime.usedBytes;
    await expectRejection(MicroLora.create({ hiddenSize: N, runtime, targetModules: "attention" }), "memory-full");
    expect(runtime.usedBytes).toBe(before);
    using donor = await MicroLora.create({ hiddenSize: N, bias: true });
    donor.learn(x, { gradient });
    donor.consolidate();
    donor.adapt(x, { gradient });
    await expectRejection(MicroLora.fromState(donor.exportState(), { runtime }), "memory-full");
    expect(runtime.usedBytes).toBe(before);
  });

  test("copies that do not fit are refused, and the next call works", async () => {
    const runtime = await nearlyFull(modules);
    using lora = await MicroLora.create({ hiddenSize: N, runtime });
    const before = lora.toBytes();
    expectRefusal(() => lora.getAdapter("q_proj")!.forwardBatch(new Float32Array(N * 100)), "memory-full");
    expectRefusal(() => lora.allocate(1000), "memory-full");
    expectRefusal(() => lora.mergeIntoBase("q_proj", new Float32Array(N * N), { layout: "in-out" }), "memory-full");
    expect(lora.toBytes()).toEqual(before);
    lora.forward(x, "q_proj");
  });
});
