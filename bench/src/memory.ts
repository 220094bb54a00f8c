/**
 * What calls allocate and adapters weigh; prints JSON. Wants the flags that `main.ts` gives it.
 */
import { forwardEach, MicroLora, Runtime } from "../../packages/microlora/dist/index.js";

const MODULE = "q_proj";
const WIDTH = 768;
const CONFIG = { hiddenSize: WIDTH, rank: 2, targetModules: [MODULE] } as const;

export interface MemoryFigures {
  /** Bytes of the JS heap that one call leaves behind, rounded. */
  readonly bytesPerCall: Readonly<Record<string, number>>;
  readonly adapter: { readonly parameters: number; readonly learned: number };
  readonly many: {
    readonly adapters: number;
    readonly createMicroseconds: number;
    readonly residentMegabytes: number;
    readonly residentMegabytesLearned: number;
    readonly forwardMicroseconds: number;
    readonly learnMicroseconds: number;
  };
}

const CALLS = 1_000_000;

function bytesPerCall(call: () => void): number {
  for (let i = 0; i < CALLS; i++) call();
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < CALLS; i++) call();
  return Math.round((process.memoryUsage().heapUsed - before) / CALLS);
}

async function allocations(): Promise<Record<string, number>> {
  const lora = await MicroLora.create(CONFIG);
  const [x, y, gradient] = [lora.allocate(WIDTH), lora.allocate(WIDTH), lora.allocate(WIDTH)];
  x.fill(0.01);
  const feedback = { gradient: gradient.fill(1e-6), module: MODULE };
  const [ordinaryX, ordinaryY] = [x.slice(), y.slice()];
  const adapter = lora.getAdapter(MODULE)!;
  const [rows, deltas] = [lora.allocate(4 * WIDTH), lora.allocate(4 * WIDTH)];
  const adapters = [adapter, adapter, adapter, adapter];
  lora.learn(x, feedback);
  lora.consolidate();
  return {
    forwardAdd: bytesPerCall(() => lora.forwardAdd(x, MODULE, y)),
    "forwardAdd, ordinary arrays": bytesPerCall(() => lora.forwardAdd(ordinaryX, MODULE, ordinaryY)),
    learn: bytesPerCall(() => lora.learn(x, feedback)),
    "forwardBatch, 4 rows": bytesPerCall(() => adapter.forwardBatch(rows, deltas)),
    "forwardEach, 4 rows": bytesPerCall(() => forwardEach(adapters, rows, deltas)),
  };
}

const megabytes = (): number => Math.round(process.memoryUsage().rss / 2 ** 20);

async function many(count: number): Promise<MemoryFigures["many"] & MemoryFigures["adapter"]> {
  const runtime = await Runtime.create({ memoryBytes: 2 ** 30 });
  globalThis.gc?.();
  const residentBefore = megabytes();
  const bytesBefore = runtime.usedBytes;
  const from = performance.now();
  const loras: MicroLora[] = [];
  for (let i = 0; i < count; i++) loras.push(await MicroLora.create({ ...CONFIG, seed: i, runtime }));
  const createMicroseconds = ((performance.now() - from) * 1e3) / count;
  const parameters = (runtime.usedBytes - bytesBefore) / count;
  const residentMegabytes = megabytes() - residentBefore;
  const [x, y] = [loras[0]!.allocate(WIDTH).fill(0.01), loras[0]!.allocate(WIDTH)];
  const feedback = { gradient: loras[0]!.allocate(WIDTH).fill(1e-6), module: MODULE };
  const bytesUnlearned = runtime.usedBytes;
  for (const lora of loras) {
    lora.learn(x, feedback);
    lora.consolidate();
  }
  const order = Array.from({ length: count }, (_, i) => loras[(i * 7919) % count]!);
  const forwardMicroseconds = secondPass(order, (lora) => lora.forwardAdd(x, MODULE, y));
  const learnMicroseconds = secondPass(order, (lora) => lora.learn(x, feedback));
  return {
    adapters: count,
    createMicroseconds,
    residentMegabytes,
    residentMegabytesLearned: megabytes() - residentBefore,
    forwardMicroseconds,
    learnMicroseconds,
    parameters,
    learned: parameters + (runtime.usedBytes - bytesUnlearned) / count,
  };
}

/** Microseconds of a call, over the second of two passes through all adapters. */
function secondPass(loras: readonly MicroLora[], call: (lora: MicroLora) => void): number {
  for (const lora of loras) call(lora);
  const from = performance.now();
  for (const lora of loras) call(lora);
  return ((performance.now() - from) * 1e3) / loras.length;
}

const perCall = await allocations();
const { parameters, learned, ...figures } = await many(10_000);
const result: MemoryFigures = { bytesPerCall: perCall, adapter: { parameters, learned }, many: figures };
console.log(JSON.stringify(result));
