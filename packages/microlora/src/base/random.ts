/**
 * Counter-based random numbers: the value at (seed, stream, index) needs no state, so that nothing has to be saved for a
 * run to go on where it stopped. Integer mixing by the finaliser of MurmurHash3 (Appleby 2011, public domain), two rounds.
 */
export function randomUint32(seed: number, stream: number, index: number): number {
  const high = Math.floor(seed / 0x1_0000_0000) >>> 0;
  const low = seed >>> 0;
  let h = mix(low ^ Math.imul(high, 0x9e37_79b1) ^ 0x243f_6a88);
  h = mix(h ^ Math.imul(stream, 0x85eb_ca77));
  return mix(h + Math.imul(index, 0x9e37_79b9));
}

/** Uniform in [0, 1), with 24 random bits: exact in float32. */
export function randomUniform(seed: number, stream: number, index: number): number {
  return (randomUint32(seed, stream, index) >>> 8) / 0x100_0000;
}

/** A stream number for a name: FNV-1a over its UTF-16 code units. */
export function streamOf(name: string): number {
  let h = 0x811c_9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x0100_0193);
  return h >>> 0;
}

function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
