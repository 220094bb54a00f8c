import { forwardEach, type LoraAdapter, MicroLora } from "../../packages/microlora/dist/index.js";
import { type Problem, toPlain } from "./problem.js";
import { type Contender, timed } from "./race.js";
import { expectedOutput, expectedWeights, worstError } from "./reference.js";

const MODULE = "q_proj";

/** The kernels that the shared runtime runs on. */
export async function kernelsName(): Promise<string> {
  const lora = await MicroLora.create({ hiddenSize: 8 });
  return lora.runtime.kernels.name;
}

/** A model with one module that has the problem's parameters, and a penalty that is active. */
export async function makeLora(problem: Problem, adapter = 0): Promise<MicroLora> {
  const { rank, inFeatures, outFeatures, scaling, rate, lambda, decay } = problem;
  const lora = await MicroLora.create({
    inFeatures,
    outFeatures,
    rank,
    alpha: scaling * rank,
    targetModules: [MODULE],
    learning: { learningRate: rate, ewcLambda: lambda, fisherDecay: decay },
  });
  const block = rank * (inFeatures + outFeatures);
  const weights = problem.weights.subarray(adapter * block, (adapter + 1) * block);
  const { loraA, loraB } = adapterOf(lora);
  loraA.set(weights.subarray(0, loraA.length));
  loraB.set(weights.subarray(loraA.length));
  return lora;
}

function adapterOf(lora: MicroLora): LoraAdapter {
  const adapter = lora.getAdapter(MODULE);
  if (adapter === undefined) throw new Error(`no adapter of ${MODULE}`);
  return adapter;
}

/** What stands in for `makeLora`'s state after some learning: parameters, Fisher and anchor as they are now. */
function current(problem: Problem, adapter: LoraAdapter): Problem {
  const block = (name: "fisher" | "anchor"): Float32Array =>
    adapter.learningBlock(name)?.slice() ?? new Float32Array(adapter.paramCount);
  const weights = new Float32Array(adapter.paramCount);
  weights.set(adapter.loraA);
  weights.set(adapter.loraB, adapter.loraA.length);
  return { ...problem, weights, fisher: block("fisher"), anchor: block("anchor") };
}

function buffer(lora: MicroLora, values: Float32Array): Float32Array {
  const placed = lora.allocate(values.length);
  placed.set(values);
  return placed;
}

/** The problem's operation through the public API, on buffers of ours. */
export async function makeOurs(problem: Problem): Promise<Contender> {
  const loras: MicroLora[] = [];
  for (let i = 0; i < problem.adapters; i++) loras.push(await makeLora(problem, i));
  const lora = loras[0]!;
  const x = buffer(lora, problem.x);
  const y = lora.allocate(problem.rows * problem.outFeatures);
  if (problem.operation === "request") return request(problem, lora, x, y);
  const call = callOf(problem, loras, x, y);
  return {
    name: "microlora",
    run: timed(call),
    dispose: () => disposeAll(loras),
    verify() {
      y.fill(0);
      call();
      return worstError(y, expectedOutput(problem));
    },
  };
}

function callOf(problem: Problem, loras: readonly MicroLora[], x: Float32Array, y: Float32Array): () => void {
  const lora = loras[0]!;
  const adapter = adapterOf(lora);
  if (problem.operation === "forward") return () => lora.forwardAdd(x, MODULE, y);
  if (problem.operation === "batch") return () => adapter.forwardBatch(x, y);
  const adapters = loras.map(adapterOf);
  return () => forwardEach(adapters, x, y);
}

/** forwardAdd, then learn; the gradient's sign alternates, so that the weights stay where they are. */
function request(problem: Problem, lora: MicroLora, x: Float32Array, y: Float32Array): Contender {
  const gradient = buffer(lora, problem.gradient);
  const feedback = [
    { gradient, module: MODULE },
    {
      gradient: buffer(
        lora,
        problem.gradient.map((g) => -g),
      ),
      module: MODULE,
    },
  ] as const;
  lora.learn(x, feedback[0]);
  lora.consolidate();
  return {
    name: "microlora",
    run: timed((i) => {
      lora.forwardAdd(x, MODULE, y);
      lora.learn(x, feedback[i & 1]!);
    }),
    dispose: () => disposeAll([lora]),
    verify() {
      const before = current(problem, adapterOf(lora));
      if (before.fisher.every((f) => f === 0)) return Number.POSITIVE_INFINITY;
      y.fill(0);
      lora.forwardAdd(x, MODULE, y);
      lora.learn(x, feedback[0]);
      const after = current(problem, adapterOf(lora));
      return Math.max(worstError(y, expectedOutput(before)), worstError(after.weights, expectedWeights(before)));
    },
  };
}

/** The forward kernel with nothing around it. */
export async function makeKernel(problem: Problem): Promise<Contender> {
  const lora = await makeLora(problem);
  const { runtime, loraA, scaling } = adapterOf(lora);
  const { rank, inFeatures, outFeatures } = problem;
  const kernels = runtime.kernels.forShape({ rank, inFeatures, outFeatures, bias: 0 });
  const x = buffer(lora, problem.x);
  const y = lora.allocate(outFeatures);
  const u = lora.allocate(rank).byteOffset;
  const [w, input, output] = [loraA.byteOffset, x.byteOffset, y.byteOffset];
  const call = (): number => kernels.forwardAdd(w, input, u, output, scaling);
  return {
    name: "microlora, kernel alone",
    run: timed(call),
    dispose: () => disposeAll([lora]),
    verify() {
      y.fill(0);
      call();
      return worstError(y, expectedOutput(problem));
    },
  };
}

/**
 * The job of a peer, with arrays of the kind that the peer takes and gives: `plain` ones, number[], are copied into a
 * buffer of ours and out of it; ordinary Float32Arrays go in and a new one comes out.
 */
export async function makeOursLikePeer(problem: Problem, arrays: "plain" | "typed"): Promise<Contender> {
  const lora = await makeLora(problem);
  const learns = problem.operation === "request";
  const run = arrays === "plain" ? plainCall(problem, lora, learns) : typedCall(problem, lora, learns);
  return { name: "microlora", run: timed(run), dispose: () => disposeAll([lora]) };
}

function typedCall({ x, gradient }: Problem, lora: MicroLora, learns: boolean): (i: number) => void {
  const gradients = [gradient, gradient.map((g) => -g)];
  return (i) => {
    lora.forward(x, MODULE);
    if (learns) lora.learn(x, { gradient: gradients[i & 1]!, module: MODULE });
  };
}

/** x + delta, as both peers with plain arrays give it. */
function plainCall(problem: Problem, lora: MicroLora, learns: boolean): (i: number) => void {
  const given = toPlain(problem.x);
  const gradients = [toPlain(problem.gradient), toPlain(problem.gradient.map((g) => -g))];
  const x = lora.allocate(problem.inFeatures);
  const y = lora.allocate(problem.outFeatures);
  const gradient = lora.allocate(problem.outFeatures);
  const output = toPlain(y);
  return (i) => {
    write(given, x);
    y.set(x);
    lora.forwardAdd(x, MODULE, y);
    read(y, output);
    if (!learns) return;
    write(gradients[i & 1]!, gradient);
    lora.learn(x, { gradient, module: MODULE });
  };
}

/** Loops, since `set` and `Array.from` take ten times as long; two, so that each sees one kind of array. */
function write(from: readonly number[], to: Float32Array): void {
  for (let i = 0; i < from.length; i++) to[i] = from[i]!;
}

function read(from: Float32Array, to: number[]): void {
  for (let i = 0; i < from.length; i++) to[i] = from[i]!;
}

function disposeAll(loras: readonly MicroLora[]): void {
  for (const lora of loras) lora[Symbol.dispose]();
}
