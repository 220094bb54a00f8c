import type { KernelsName } from "./contract.js";

/** A module with one function of the given body, which takes nothing and returns nothing. */
function probeModule(body: readonly number[]): Uint8Array<ArrayBuffer> {
  const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  const type = [0x01, 0x04, 0x01, 0x60, 0x00, 0x00];
  const functions = [0x03, 0x02, 0x01, 0x00];
  const code = [0x0a, body.length + 4, 0x01, body.length + 2, 0x00, ...body, 0x0b];
  return Uint8Array.from([...header, ...type, ...functions, ...code]);
}

const I32_CONST_0 = [0x41, 0x00];
const I32X4_SPLAT = [0xfd, 0x11];
const F32X4_RELAXED_MADD = [0xfd, 0x85, 0x02];
const DROP = [0x1a];
const SPLAT = [...I32_CONST_0, ...I32X4_SPLAT];

/** Whether this engine can run each implementation, found by letting it validate the instructions in question. */
export const isAvailable: { readonly [K in KernelsName]: () => boolean } = {
  relaxed: () => validates([...SPLAT, ...SPLAT, ...SPLAT, ...F32X4_RELAXED_MADD, ...DROP]),
  simd: () => validates([...SPLAT, ...DROP]),
  scalar: () => true,
};

function validates(body: readonly number[]): boolean {
  return typeof WebAssembly === "object" && WebAssembly.validate(probeModule(body));
}
