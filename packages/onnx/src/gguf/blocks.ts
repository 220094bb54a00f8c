import { type BlockType, GGML_TYPES } from "./types.js";

/**
 * A weight in groups of consecutive inputs: element = scale * code + offset, with one scale (and one offset) a group. Every
 * block type of GGUF is such, to the last bit of its codes.
 */
export interface Groups {
  /** Inputs that share a scale: 16 or 32. */
  readonly size: 16 | 32;
  /** 4: codes are in -8..7. 8: in -128..127. */
  readonly bits: 4 | 8;
  readonly codes: Int8Array;
  readonly scales: Float32Array;
  /** undefined where all are zero by the type. */
  readonly offsets: Float32Array | undefined;
}

/** Where the next block of a type goes. */
interface Target {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
  readonly offsets: Float32Array;
}

interface Layout {
  readonly size: 16 | 32;
  readonly bits: 4 | 8;
  readonly hasOffsets: boolean;
  /** Reads the block of `bytes` at `at`; its first code goes to `code`, its first scale to `group`. */
  read(bytes: Uint8Array, at: number, target: Target, code: number, group: number): void;
}

/**
 * Takes blocks apart.
 * @param bytes whole blocks of the type
 */
export function readBlocks(type: BlockType, bytes: Uint8Array): Groups {
  const { elements, bytes: blockBytes } = GGML_TYPES[type];
  const { size, bits, hasOffsets, read } = LAYOUTS[type];
  const blocks = bytes.length / blockBytes;
  const groups = (blocks * elements) / size;
  const target = {
    codes: new Int8Array(blocks * elements),
    scales: new Float32Array(groups),
    offsets: new Float32Array(hasOffsets ? groups : 0),
  };
  for (let block = 0; block < blocks; block++) {
    read(bytes, block * blockBytes, target, block * elements, (block * elements) / size);
  }
  return { size, bits, ...target, offsets: hasOffsets ? target.offsets : undefined };
}

/** By type; from the `dequantize_row_*` functions in llama.cpp's ggml-quants.c. */
const LAYOUTS: { readonly [T in BlockType]: Layout } = {
  Q4_0: {
    size: 32,
    bits: 4,
    hasOffsets: false,
    read(bytes, at, { codes, scales }, code, group) {
      scales[group] = halfAt(bytes, at);
      readNibbles(bytes, at + 2, 16, -8, codes, code);
    },
  },
  Q4_1: {
    size: 32,
    bits: 4,
    hasOffsets: true,
    read(bytes, at, { codes, scales, offsets }, code, group) {
      const scale = halfAt(bytes, at);
      scales[group] = scale;
      offsets[group] = halfAt(bytes, at + 2) + 8 * scale;
      readNibbles(bytes, at + 4, 16, -8, codes, code);
    },
  },
  Q5_0: {
    size: 32,
    bits: 8,
    hasOffsets: false,
    read(bytes, at, { codes, scales }, code, group) {
      scales[group] = halfAt(bytes, at);
      readNibbles(bytes, at + 6, 16, -16, codes, code);
      addFifthBits(bytes, at + 2, codes, code);
    },
  },
  Q5_1: {
    size: 32,
    bits: 8,
    hasOffsets: true,
    read(bytes, at, { codes, scales, offsets }, code, group) {
      const scale = halfAt(bytes, at);
      scales[group] = scale;
      offsets[group] = halfAt(bytes, at + 2) + 16 * scale;
      readNibbles(bytes, at + 8, 16, -16, codes, code);
      addFifthBits(bytes, at + 4, codes, code);
    },
  },
  Q8_0: {
    size: 32,
    bits: 8,
    hasOffsets: false,
    read(bytes, at, { codes, scales }, code, group) {
      scales[group] = halfAt(bytes, at);
      for (let i = 0; i < 32; i++) codes[code + i] = bytes[at + 2 + i]!;
    },
  },
  Q2_K: {
    size: 16,
    bits: 4,
    hasOffsets: true,
    read(bytes, at, { codes, scales, offsets }, code, group) {
      const [scale, minimum] = [halfAt(bytes, at + 80), halfAt(bytes, at + 82)];
      for (let i = 0; i < 16; i++) {
        scales[group + i] = scale * (bytes[at + i]! & 15);
        offsets[group + i] = -minimum * (bytes[at + i]! >> 4);
      }
      for (let i = 0; i < 256; i++) codes[code + i] = twoBitsAt(bytes, at + 16, i);
    },
  },
  Q3_K: {
    size: 16,
    bits: 4,
    hasOffsets: false,
    read(bytes, at, { codes, scales }, code, group) {
      const scale = halfAt(bytes, at + 108);
      for (let i = 0; i < 16; i++) scales[group + i] = scale * (sixBitsAt(bytes, at + 96, i) - 32);
      for (let i = 0; i < 256; i++) {
        const high = (bytes[at + (i & 31)]! >> (i >> 5)) & 1;
        codes[code + i] = twoBitsAt(bytes, at + 32, i) + 4 * high - 4;
      }
    },
  },
  Q4_K: {
    size: 32,
    bits: 4,
    hasOffsets: true,
    read(bytes, at, target, code, group) {
      readScalesAndMinima(bytes, at, 8, target, group);
      for (let part = 0; part < 4; part++) {
        readNibbles(bytes, at + 16 + 32 * part, 32, -8, target.codes, code + 64 * part);
      }
    },
  },
  Q5_K: {
    size: 32,
    bits: 8,
    hasOffsets: true,
    read(bytes, at, target, code, group) {
      readScalesAndMinima(bytes, at, 16, target, group);
      for (let part = 0; part < 4; part++) {
        readNibbles(bytes, at + 48 + 32 * part, 32, -16, target.codes, code + 64 * part);
      }
      for (let i = 0; i < 256; i++) target.codes[code + i]! += 16 * ((bytes[at + 16 + (i & 31)]! >> (i >> 5)) & 1);
    },
  },
  Q6_K: {
    size: 16,
    bits: 8,
    hasOffsets: false,
    read(bytes, at, { codes, scales }, code, group) {
      const scale = halfAt(bytes, at + 208);
      for (let i = 0; i < 16; i++) scales[group + i] = scale * signed(bytes[at + 192 + i]!);
      for (let i = 0; i < 256; i++) {
        const [half, within] = [i >> 7, i & 127];
        const low = (bytes[at + 64 * half + (within & 63)]! >> (within < 64 ? 0 : 4)) & 15;
        const high = (bytes[at + 128 + 32 * half + (within & 31)]! >> (2 * (within >> 5))) & 3;
        codes[code + i] = low + 16 * high - 32;
      }
    },
  },
  IQ4_NL: {
    size: 32,
    bits: 8,
    hasOffsets: false,
    read(bytes, at, { codes, scales }, code, group) {
      scales[group] = halfAt(bytes, at);
      readNibbles(bytes, at + 2, 16, 0, codes, code);
      for (let i = code; i < code + 32; i++) codes[i] = IQ4_VALUES[codes[i]!]!;
    },
  },
  IQ4_XS: {
    size: 32,
    bits: 8,
    hasOffsets: false,
    read(bytes, at, { codes, scales }, code, group) {
      const scale = halfAt(bytes, at);
      for (let i = 0; i < 8; i++) {
        const low = (bytes[at + 4 + (i >> 1)]! >> (4 * (i & 1))) & 15;
        const high = (bytes[at + 2 + (i >> 2)]! >> (2 * (i & 3))) & 3;
        scales[group + i] = scale * (low + 16 * high - 32);
        readNibbles(bytes, at + 8 + 16 * i, 16, 0, codes, code + 32 * i);
      }
      for (let i = code; i < code + 256; i++) codes[i] = IQ4_VALUES[codes[i]!]!;
    },
  },
  MXFP4: {
    size: 32,
    bits: 8,
    hasOffsets: false,
    read(bytes, at, { codes, scales }, code, group) {
      scales[group] = 2 ** (bytes[at]! - 128);
      readNibbles(bytes, at + 1, 16, 0, codes, code);
      for (let i = code; i < code + 32; i++) codes[i] = MXFP4_VALUES[codes[i]!]!;
    },
  },
};

/** `kvalues_iq4nl` in ggml-common.h. */
const IQ4_VALUES = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** `kvalues_mxfp4` in ggml-common.h: twice the values of E2M1. */
const MXFP4_VALUES = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** Low nibbles first, then high ones. */
function readNibbles(bytes: Uint8Array, at: number, count: number, shift: number, codes: Int8Array, to: number): void {
  for (let i = 0; i < count; i++) {
    const byte = bytes[at + i]!;
    codes[to + i] = (byte & 15) + shift;
    codes[to + count + i] = (byte >> 4) + shift;
  }
}

function addFifthBits(bytes: Uint8Array, at: number, codes: Int8Array, to: number): void {
  for (let i = 0; i < 32; i++) codes[to + i]! += 16 * ((bytes[at + (i >> 3)]! >> (i & 7)) & 1);
}

/** Code `i` of a block of 256 in two bits: 32 codes side by side at each of four shifts, in each half. */
function twoBitsAt(bytes: Uint8Array, at: number, i: number): number {
  return (bytes[at + 32 * (i >> 7) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
}

/** Scale `i` of 16 in the 12 bytes of a Q3_K block. */
function sixBitsAt(bytes: Uint8Array, at: number, i: number): number {
  const low = (bytes[at + (i & 7)]! >> (i < 8 ? 0 : 4)) & 15;
  const high = (bytes[at + 8 + (i & 3)]! >> (2 * (i >> 2))) & 3;
  return low + 16 * high;
}

/** Eight scales and minima in six bits each, `get_scale_min_k4` in ggml-quants.c. @param middle taken off every code */
function readScalesAndMinima(
  bytes: Uint8Array,
  at: number,
  middle: number,
  { scales, offsets }: Target,
  group: number,
): void {
  const [scale, minimum] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
  const packed = at + 4;
  for (let i = 0; i < 8; i++) {
    const [a, b] = [bytes[packed + (i & 3)]!, bytes[packed + 4 + (i & 3)]!];
    const both = bytes[packed + 4 + i]!;
    const s = i < 4 ? a & 63 : (both & 15) | ((a >> 6) << 4);
    const m = i < 4 ? b & 63 : (both >> 4) | ((b >> 6) << 4);
    scales[group + i] = scale * s;
    offsets[group + i] = middle * scale * s - minimum * m;
  }
}

function signed(byte: number): number {
  return (byte << 24) >> 24;
}

function halfAt(bytes: Uint8Array, at: number): number {
  return HALVES[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

/** The value of every float16. */
const HALVES = Float32Array.from({ length: 1 << 16 }, (_, bits) => {
  const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023];
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
});

/** float16 as float32. @param bytes little-endian */
export function fromHalves(bytes: Uint8Array): Float32Array {
  const values = new Float32Array(bytes.length / 2);
  for (let i = 0; i < values.length; i++) values[i] = halfAt(bytes, 2 * i);
  return values;
}

/** The weight itself, in float32. */
export function dequantize({ size, codes, scales, offsets }: Groups): Float32Array {
  const values = new Float32Array(codes.length);
  for (let group = 0; group < scales.length; group++) {
    const [scale, offset, end] = [scales[group]!, offsets?.[group] ?? 0, (group + 1) * size];
    for (let i = group * size; i < end; i++) values[i] = codes[i]! * scale + offset;
  }
  return values;
}
