/**
 * `npm --prefix bench/learning run timing`: what a whole learning request costs beside the plain fused step, into
 * `results/timing.json`. Contenders take turns in short slices; run it on a machine that does nothing else.
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { Learner, MicroLora } from "microlora";
import { createRandom, quantile } from "./first-run.js";
import { CHOICE, FUSED, TIMING, type Timing } from "./report/timing-table.js";

const WIDTH = 768;
const RANK = 2;
const REQUESTS = 1000;
/** Two checks of the guard in each; short, so that some slices run undisturbed. */
const SLICE = 128;
const ROUNDS = 401;
const MODULE = "layer";
const POOL = 64;

interface Contender {
  readonly name: string;
  request(i: number): void;
}

/** What a request brings: an input, and one of two items that was chosen over the other. */
interface Sample {
  readonly x: Float32Array;
  readonly chosen: Float32Array;
  readonly other: Float32Array;
}

const samples = drawSamples();

async function createLora(ewcLambda: number): Promise<MicroLora> {
  const learning = { learningRate: 1e-3, ewcLambda };
  return MicroLora.create({ hiddenSize: WIDTH, rank: RANK, targetModules: [MODULE], learning });
}

/** `learn` with a gradient that the caller has, as one fused kernel call. */
async function plain(name: string, ewcLambda: number): Promise<Contender> {
  const lora = await createLora(ewcLambda);
  const gradients = samples.map(({ chosen, other }) => chosen.map((value, i) => other[i]! - value));
  const request = (i: number) => {
    lora.learn(samples[i % POOL]!.x, { gradient: gradients[i % POOL]!, module: MODULE });
  };
  for (let i = 0; i < POOL; i++) request(i);
  lora.consolidate();
  return { name, request };
}

/** A choice between two items, from which a `Learner` makes the loss and its gradient. @param gate share of the delta let through */
async function learner(
  name: string,
  ewcLambda: number,
  config: ConstructorParameters<typeof Learner>[1],
  gate = 1,
): Promise<Contender> {
  const lora = await createLora(ewcLambda);
  const learner = new Learner(lora, { score: "dot", temperature: 1, ...config });
  const request = (i: number) => {
    const { x, chosen, other } = samples[i % POOL]!;
    learner.learn({ x, gate }, { chosen, rejected: [other] });
  };
  for (let i = 0; i < POOL; i++) request(i);
  lora.consolidate();
  return { name, request };
}

function drawSamples(): readonly Sample[] {
  const random = createRandom(1);
  const vector = () => Float32Array.from({ length: WIDTH }, () => (2 * random.next() - 1) / Math.sqrt(WIDTH / 3));
  return Array.from({ length: POOL }, () => ({ x: vector(), chosen: vector(), other: vector() }));
}

/** Microseconds a request, mean of a slice. */
function slice({ request }: Contender, from: number): number {
  const start = performance.now();
  for (let i = 0; i < SLICE; i++) request(from + i);
  return (1000 * (performance.now() - start)) / SLICE;
}

function p99({ request }: Contender): number {
  const times = Array.from({ length: REQUESTS }, (_, i) => {
    const start = performance.now();
    request(i);
    return 1000 * (performance.now() - start);
  });
  return quantile(times, 0.99);
}

const contenders = [
  await plain("plain fused step", 0),
  await plain(FUSED, 100),
  await learner(CHOICE, 0, {}),
  await learner("with EWC and a limit on the delta", 100, { maxDelta: 10 }),
  await learner("with EWC, the limit and the guard", 100, { maxDelta: 10, guard: {} }),
  await learner("with all that, behind a gate", 100, { maxDelta: 10, guard: {} }, 0.7),
];
const slices = contenders.map((): number[] => []);
for (let round = 0; round < ROUNDS; round++) {
  for (const [k, contender] of contenders.entries()) slices[k]!.push(slice(contender, round * SLICE));
}
/** The fastest slice is the one that nothing else disturbed. */
const fastest = slices.map((times) => Math.min(...times));
const rows = contenders.map((contender, k) => ({
  name: contender.name,
  microseconds: fastest[k]!,
  ratio: fastest[k]! / fastest[0]!,
  p99: p99(contender),
}));
const { kernels } = (await createLora(0)).runtime;
const machine = `${cpus()[0]?.model}, Node ${process.version}, ${kernels.name} kernels`;
writeFileSync(TIMING, `${JSON.stringify({ machine, rows } satisfies Timing, null, 2)}\n`);
console.table(rows);
