import type { AdapterKernels, AdapterShape, Kernels, KernelsName, VectorKernels } from "./contract.js";

type Shape = [rank: number, inFeatures: number, outFeatures: number, bias: number];

/** An export of `assembly/adapter.ts`: the contract's function with the shape after its own arguments. */
type Shaped<F extends (...args: never[]) => unknown> = (...args: [...Parameters<F>, ...Shape]) => ReturnType<F>;

type AdapterExports = { readonly [K in Exclude<keyof AdapterKernels, "accumulate">]: Shaped<AdapterKernels[K]> };

const modules = new Map<string, Promise<WebAssembly.Module>>();

/** The kernels of one WebAssembly build over one memory; the build is compiled once a process. */
export async function instantiateKernels(
  name: KernelsName,
  code: string,
  memory: WebAssembly.Memory,
): Promise<Kernels> {
  let module = modules.get(code);
  if (module === undefined) {
    module = WebAssembly.compile(decode(code));
    modules.set(code, module);
    module.catch(() => modules.delete(code));
  }
  const { exports } = await WebAssembly.instantiate(await module, { env: { memory } });
  const kernels = exports as unknown as AdapterExports & VectorKernels;
  return { ...kernels, name, forShape: (shape) => bindShape(kernels, shape) };
}

/** The exports of a module below 4 KB, which browsers compile without waiting on every thread. */
export function instantiateSmall<Exports>(code: string, memory: WebAssembly.Memory): Exports {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(decode(code)), { env: { memory } });
  return exports as unknown as Exports;
}

/** # to z stand for -10 to 77, modulo 256; { and | before them add 88 and 176. */
function decode(code: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  let more = 0;
  for (let i = 0; i < code.length; i++) {
    const symbol = code.charCodeAt(i) - 35;
    if (symbol < 88) bytes.push(symbol + more - 10);
    more = symbol < 88 ? 0 : 88 * (symbol - 87);
  }
  return Uint8Array.from(bytes);
}

/** Closures rather than `bind`: V8 inlines them, and with them the entry into WebAssembly. */
function bindShape(kernels: AdapterExports, { rank, inFeatures, outFeatures, bias }: AdapterShape): AdapterKernels {
  const { forward, forwardAdd, forwardBatch, forwardEach, measure, step } = kernels;
  return {
    forward: (w, x, u, y, scaling) => forward(w, x, u, y, scaling, rank, inFeatures, outFeatures, bias),
    forwardAdd: (w, x, u, y, scaling) => forwardAdd(w, x, u, y, scaling, rank, inFeatures, outFeatures, bias),
    forwardBatch: (w, x, u, y, rows, scaling) =>
      forwardBatch(w, x, u, y, rows, scaling, rank, inFeatures, outFeatures, bias),
    forwardEach: (table, x, u, y, rows) => forwardEach(table, x, u, y, rows, rank, inFeatures, outFeatures, bias),
    measure: (w, x, g, u, v, norms, hasU) => measure(w, x, g, u, v, norms, hasU, rank, inFeatures, outFeatures, bias),
    step: (w, x, g, u, v, scaling, rate, running, decay, fisher, anchor, penalty) =>
      step(w, x, g, u, v, scaling, rate, running, decay, fisher, anchor, penalty, rank, inFeatures, outFeatures, bias),
    accumulate: (pending, x, g, u, v, scaling, reward, running, decay) =>
      step(pending, x, g, u, v, scaling, -reward, running, decay, 0, 0, 0, rank, inFeatures, outFeatures, bias),
  };
}
