import type { KernelsName } from "./contract.js";
import type { LearningKernels } from "./learning-contract.js";
import { code as relaxedCode } from "./learning-relaxed.generated.js";
import { createScalarLearningKernels } from "./learning-scalar.js";
import { code as simdCode } from "./learning-simd.generated.js";
import type { Runtime } from "./runtime.js";
import { wasmExports } from "./wasm.js";

type Factory = (memory: WebAssembly.Memory) => Promise<LearningKernels>;

const factories: { readonly [K in KernelsName]: Factory } = {
  relaxed: wasmExports<LearningKernels>(relaxedCode),
  simd: wasmExports<LearningKernels>(simdCode),
  scalar: async (memory) => createScalarLearningKernels(memory),
};

const loaded = new WeakMap<Runtime, LearningKernels>();

/** Loads the learning kernels of a runtime, of the same kind as its other ones; once. */
export async function prepareLearningKernels(runtime: Runtime): Promise<void> {
  if (loaded.has(runtime)) return;
  const kernels = await factories[runtime.kernels.name](runtime.memory);
  if (!loaded.has(runtime)) loaded.set(runtime, kernels);
}

/** What `prepareLearningKernels` has loaded. */
export function learningKernelsOf(runtime: Runtime): LearningKernels {
  return loaded.get(runtime)!;
}
