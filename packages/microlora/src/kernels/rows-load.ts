import type { RowKernels } from "./rows-contract.js";
import { createScalarRowKernels } from "./rows-scalar.js";
import { code } from "./rows-simd.generated.js";
import type { Runtime } from "./runtime.js";
import { instantiateSmall } from "./wasm.js";

const loaded = new WeakMap<Runtime, RowKernels>();

/** The row kernels of a runtime, made when they are first asked for; those of `relaxed` are those of `simd`. */
export function rowKernelsOf(runtime: Runtime): RowKernels {
  const known = loaded.get(runtime);
  if (known !== undefined) return known;
  const { memory } = runtime;
  const kernels: RowKernels =
    runtime.kernels.name === "scalar"
      ? createScalarRowKernels(memory)
      : instantiateSmall(code, memory as WebAssembly.Memory);
  loaded.set(runtime, kernels);
  return kernels;
}
