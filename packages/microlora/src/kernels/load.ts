import { MicroLoraError } from "../base/errors.js";
import {
  type AdapterKernels,
  type AdapterShape,
  KERNELS_NAMES,
  type Kernels,
  type KernelsFactory,
  type KernelsName,
} from "./contract.js";
import { isAvailable } from "./probe.js";
import { code as relaxedCode } from "./relaxed.generated.js";
import { createScalarKernels } from "./scalar.js";
import { code as simdCode } from "./simd.generated.js";
import { wasmKernels } from "./wasm.js";

const factories: { readonly [K in KernelsName]: KernelsFactory } = {
  relaxed: wasmKernels("relaxed", relaxedCode),
  simd: wasmKernels("simd", simdCode),
  scalar: async (memory) => createScalarKernels(memory),
};

/**
 * The kernels over one memory: the fastest that this engine can run, or the ones named.
 * @throws MicroLoraError `kernels-unavailable` if those named do not run here
 */
export async function loadKernels(memory: WebAssembly.Memory, name?: KernelsName): Promise<Kernels> {
  const chosen = name ?? KERNELS_NAMES.find((candidate) => isAvailable[candidate]()) ?? "scalar";
  if (!Object.hasOwn(factories, chosen) || !isAvailable[chosen]()) {
    throw new MicroLoraError(
      "kernels-unavailable",
      "kernels",
      `this engine cannot run the "${String(chosen)}" kernels`,
      `Leave the choice to the library, or pass one of: ${KERNELS_NAMES.filter((n) => isAvailable[n]()).join(", ")}`,
    );
  }
  return withOneSetAShape(await factories[chosen](memory));
}

/** Adapters of one shape share one set of kernels, so that they can be told to go together by its identity. */
function withOneSetAShape(kernels: Kernels): Kernels {
  const sets = new Map<string, AdapterKernels>();
  const forShape = (shape: AdapterShape): AdapterKernels => {
    const key = `${shape.rank} ${shape.inFeatures} ${shape.outFeatures} ${shape.bias}`;
    const known = sets.get(key);
    if (known !== undefined) return known;
    const set = kernels.forShape(shape);
    sets.set(key, set);
    return set;
  };
  return { ...kernels, forShape };
}
