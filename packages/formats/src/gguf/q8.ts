import { toFloats } from "../picture/floats.js";

const ELEMENTS = 32;
const BLOCK_BYTES = 2 + ELEMENTS;

/** The numbers of Q8_0: blocks of a half as scale and 32 signed bytes; `block_q8_0` in ggml-common.h. */
export function fromQ8(data: Uint8Array): Float32Array {
  const blocks = data.length / BLOCK_BYTES;
  const scaleBytes = new Uint8Array(2 * blocks);
  for (let block = 0; block < blocks; block++) {
    scaleBytes.set(data.subarray(block * BLOCK_BYTES, block * BLOCK_BYTES + 2), 2 * block);
  }
  const scales = toFloats({ dtype: "F16", shape: [blocks], data: scaleBytes }, "Q8_0");
  const floats = new Float32Array(blocks * ELEMENTS);
  for (let i = 0; i < floats.length; i++) {
    const block = Math.floor(i / ELEMENTS);
    const byte = data[block * BLOCK_BYTES + 2 + (i % ELEMENTS)]!;
    floats[i] = scales[block]! * ((byte << 24) >> 24);
  }
  return floats;
}
