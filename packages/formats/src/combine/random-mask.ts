import type { MaskRequest } from "./sparsify.js";

/** Keeps each element with the probability `density`; a function of the seed and of what the mask is for. */
export function randomMask({ module, part, adapter, length }: MaskRequest, density: number, seed: number): Uint8Array {
  const stream = hash(`${seed} ${adapter} ${part} ${module}`);
  return Uint8Array.from({ length }, (_, i) => (mix(stream + Math.imul(i, 0x9e37_79b9)) / 2 ** 32 < density ? 1 : 0));
}

/** FNV-1a over the UTF-16 code units. */
function hash(text: string): number {
  let h = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x0100_0193);
  return h >>> 0;
}

/** The finaliser of MurmurHash3 (Appleby 2011, public domain), twice. */
function mix(value: number): number {
  let h = value | 0;
  for (let round = 0; round < 2; round++) {
    h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
    h ^= h >>> 16;
  }
  return h >>> 0;
}
