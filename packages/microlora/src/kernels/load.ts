import { refusal, shown } from "../base/errors.js";
import { type AdapterKernels, type AdapterShape, KERNELS_NAMES, type Kernels, type KernelsName } from "./contract.js";
import { isAvailable } from "./probe.js";
import { createScalarKernels } from "./scalar.js";
import { code as simdCode } from "./simd.generated.js";
import { instantiateKernels } from "./wasm.js";

/** The memory that kernels work on: WebAssembly's, or a plain buffer where there is no WebAssembly. */
export interface KernelMemory {
  readonly buffer: ArrayBufferLike;
}

const factories: { readonly [K in KernelsName]: (memory: KernelMemory) => Promise<Kernels> } = {
  relaxed: async (memory) => {
    const { code } = await import("./relaxed.generated.js");
    return instantiateKernels("relaxed", code, memory as WebAssembly.Memory);
  },
  simd: (memory) => instantiateKernels("simd", simdCode, memory as WebAssembly.Memory),
  scalar: async (memory) => createScalarKernels(memory),
};

/**
 * The kernels over one memory: those named, or else `simd`, whose results are the same to the bit on every engine and CPU, or else
 * `scalar`, where the engine has no SIMD or refuses to compile WebAssembly (a Content-Security-Policy, a Cloudflare Worker).
 * @throws MicroLoraError `kernels-unavailable` if those named do not run here
 */
export async function loadKernels(memory: KernelMemory, name?: KernelsName): Promise<Kernels> {
  if (name !== undefined) return withOneSetAShape(await loadNamed(memory, name));
  const simd = isAvailable.simd() ? await factories.simd(memory).catch(() => undefined) : undefined;
  return withOneSetAShape(simd ?? createScalarKernels(memory));
}

async function loadNamed(memory: KernelMemory, name: KernelsName): Promise<Kernels> {
  const remedy = `Leave the choice to the library, or pass one of: ${KERNELS_NAMES.filter((each) => isAvailable[each]()).join(", ")}`;
  if (!KERNELS_NAMES.includes(name) || !isAvailable[name]()) {
    throw refusal("kernels-unavailable", "kernels", `this engine cannot run the ${shown(name)} kernels`, remedy);
  }
  try {
    return await factories[name](memory);
  } catch (cause) {
    const problem = `this engine refused to compile the "${name}" kernels`;
    const allow = "Allow 'wasm-unsafe-eval' in the Content-Security-Policy, or leave the choice to the library";
    throw refusal("kernels-unavailable", "kernels", problem, allow, { cause });
  }
}

/** Adapters of one shape share one set of kernels, so that its identity tells which adapters go into one batch. */
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
