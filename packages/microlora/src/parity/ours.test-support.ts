import { EwcState, type LoraAdapter, MicroLora } from "../index.js";
import type { KernelsName } from "../kernels/contract.js";
import type { Factors, ParityCase, Results } from "./cases.test-support.js";

const MODULE = "q_proj";

/** What ours makes of a case, in the original's layout. */
export async function runOurs(test: ParityCase, kernels: KernelsName): Promise<Results> {
  using lora = await makeLora(test, kernels);
  const adapter = lora.getAdapter(MODULE)!;
  const { rank, inFeatures, rows, onto, base } = test;
  setFactors(adapter, test.weights);
  const first = Float32Array.from(rows.slice(0, inFeatures));
  const forwardAdd = Float32Array.from(onto);
  adapter.forwardAdd(first, forwardAdd);
  const merged = Float32Array.from(base);
  adapter.mergeInto(merged, { layout: "in-out" });
  const results = {
    forward: adapter.forward(first),
    forwardAdd,
    forwardBatch: adapter.forwardBatch(Float32Array.from(rows)),
    merged,
  };
  accumulate(adapter, test);
  adapter.applyGradients(test.learningRate);
  const applied = factorsOf(adapter);
  setFactors(adapter, test.weights);
  accumulate(adapter, test);
  applyWithEwc(adapter, test);
  const penalised = factorsOf(adapter);
  using ewc = ewcOf(adapter, test);
  ewc.updateFisher(transposed(test.gradient.a, inFeatures), Float32Array.from(test.gradient.b), test.decay);
  return {
    ...results,
    appliedA: applied.a,
    appliedB: applied.b,
    penalisedA: penalised.a,
    penalisedB: penalised.b,
    fisherA: transposed(ewc.fisherA, rank),
    fisherB: ewc.fisherB.slice(),
  };
}

/** The A [in, rank] that an adapter starts from with `init: "original"`, and its scaling. */
export async function initialOf(test: ParityCase, kernels: KernelsName): Promise<{ a: Float32Array; scaling: number }> {
  using lora = await makeLora(test, kernels);
  const { loraA, rank, scaling } = lora.getAdapter(MODULE)!;
  return { a: transposed(loraA, rank), scaling };
}

function makeLora(test: ParityCase, kernels: KernelsName): Promise<MicroLora> {
  const { rank, inFeatures, outFeatures, alpha } = test;
  return MicroLora.create({ rank, inFeatures, outFeatures, alpha, kernels, init: "original", targetModules: [MODULE] });
}

function accumulate(adapter: LoraAdapter, { examples }: ParityCase): void {
  for (const { x, gradient, reward } of examples) {
    adapter.accumulateGradient(Float32Array.from(x), Float32Array.from(gradient), reward);
  }
}

function applyWithEwc(adapter: LoraAdapter, test: ParityCase): void {
  const { fisher, anchor, learningRate, lambda, inFeatures } = test;
  adapter.applyGradientsWithEwc(
    learningRate,
    transposed(fisher.a, inFeatures),
    Float32Array.from(fisher.b),
    transposed(anchor.a, inFeatures),
    Float32Array.from(anchor.b),
    lambda,
  );
}

function ewcOf(adapter: LoraAdapter, { fisher, inFeatures }: ParityCase): EwcState {
  const ewc = EwcState.fromAdapter(adapter);
  ewc.fisherA.set(transposed(fisher.a, inFeatures));
  ewc.fisherB.set(fisher.b);
  return ewc;
}

function setFactors(adapter: LoraAdapter, { a, b }: Factors): void {
  adapter.loraA.set(transposed(a, adapter.inFeatures));
  adapter.loraB.set(b);
}

function factorsOf({ loraA, loraB, rank }: LoraAdapter): { a: Float32Array; b: Float32Array } {
  return { a: transposed(loraA, rank), b: loraB.slice() };
}

/** The transpose of a matrix [rows, n]. */
function transposed(values: ArrayLike<number>, rows: number): Float32Array {
  const n = values.length / rows;
  return Float32Array.from(values, (_, k) => values[(k % rows) * n + Math.floor(k / rows)]!);
}
