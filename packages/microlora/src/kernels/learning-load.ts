import type { KernelsName } from "./contract.js";
import type { LearningKernels } from "./learning-contract.js";
import { code as relaxedCode } from "./learning-relaxed.generated.js";
import { createScalarLearningKernels } from "./learning-scalar.js";
import { code as simdCode } from "./learning-simd.generated.js";
import type { KernelMemory } from "./load.js";
import type { Runtime } from "./runtime.js";
import { instantiateSmall } from "./wasm.js";

const factories: { readonly [K in KernelsName]: (memory: KernelMemory) => LearningKernels } = {
  relaxed: (memory) => instantiateSmall(relaxedCode, memory as WebAssembly.Memory),
  simd: (memory) => instantiateSmall(simdCode, memory as WebAssembly.Memory),
  scalar: createScalarLearningKernels,
};

const loaded = new WeakMap<Runtime, LearningKernels>();

/** The learning kernels of a runtime, of the same kind as its other ones; made when they are first asked for. */
export function learningKernelsOf(runtime: Runtime): LearningKernels {
  let kernels = loaded.get(runtime);
  if (kernels === undefined) {
    kernels = factories[runtime.kernels.name](runtime.memory);
    loaded.set(runtime, kernels);
  }
  return kernels;
}
