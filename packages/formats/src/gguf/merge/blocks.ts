import { floatToHalf, halfToFloat } from "../../picture/floats.js";

/**
 * A type of ggml's tensors that merging can read: blocks of elements, each so many bytes. `quantize` writes what ggml's
 * `quantize_row_*_ref` writes; a type without it is written as F16 after merging, as llama.cpp's own export-lora does.
 */
export interface BlockType {
  readonly name: string;
  readonly id: number;
  readonly elements: number;
  readonly bytes: number;
  readonly isExact?: true;
  dequantize(view: DataView, at: number, out: Float64Array, to: number): void;
  quantize?(values: Float64Array, from: number, view: DataView, at: number): void;
}

const half = (view: DataView, at: number): number => halfToFloat(view.getUint16(at, true));
const setHalf = (view: DataView, at: number, value: number): void => view.setUint16(at, floatToHalf(value), true);
/** The low or the high four bits of one of 16 bytes, by the number of the element in its block of 32. */
const nibble = (view: DataView, at: number, i: number): number =>
  (view.getUint8(at + (i % 16)) >> (i < 16 ? 0 : 4)) & 15;

/** d * (q - offset), or d * q + m, with q of 4 bits and, in Q5, a fifth from a word of 32. */
function fourOrFive(name: string, id: number, bits: 4 | 5, hasMinimum: boolean): BlockType {
  const [high, data] = [hasMinimum ? 4 : 2, (hasMinimum ? 4 : 2) + (bits === 5 ? 4 : 0)];
  const levels = 2 ** bits;
  return {
    name,
    id,
    elements: 32,
    bytes: data + 16,
    dequantize(view, at, out, to) {
      const d = half(view, at);
      const m = hasMinimum ? half(view, at + 2) : -(levels / 2) * d;
      const fifths = bits === 5 ? view.getUint32(at + high, true) : 0;
      for (let i = 0; i < 32; i++) out[to + i] = d * (nibble(view, at + data, i) + 16 * ((fifths >>> i) & 1)) + m;
    },
    quantize(values, from, view, at) {
      let [least, most, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
      for (let i = 0; i < 32; i++) {
        const value = values[from + i]!;
        least = Math.min(least, value);
        most = Math.max(most, value);
        if (Math.abs(value) > Math.abs(largest)) largest = value;
      }
      const d = hasMinimum ? (most - least) / (levels - 1) : largest / -(levels / 2);
      const inverse = d === 0 ? 0 : 1 / d;
      setHalf(view, at, d);
      if (hasMinimum) setHalf(view, at + 2, least);
      let fifths = 0;
      const codes = new Uint8Array(32);
      for (let i = 0; i < 32; i++) {
        const value = hasMinimum
          ? (values[from + i]! - least) * inverse + 0.5
          : values[from + i]! * inverse + levels / 2 + 0.5;
        codes[i] = Math.min(levels - 1, Math.max(0, Math.trunc(value)));
        fifths |= (codes[i]! >> 4) << i;
      }
      if (bits === 5) view.setUint32(at + high, fifths >>> 0, true);
      for (let i = 0; i < 16; i++) view.setUint8(at + data + i, (codes[i]! & 15) | ((codes[i + 16]! & 15) << 4));
    },
  };
}

const q8: BlockType = {
  name: "Q8_0",
  id: 8,
  elements: 32,
  bytes: 34,
  dequantize(view, at, out, to) {
    const d = half(view, at);
    for (let i = 0; i < 32; i++) out[to + i] = d * view.getInt8(at + 2 + i);
  },
  quantize(values, from, view, at) {
    let most = 0;
    for (let i = 0; i < 32; i++) most = Math.max(most, Math.abs(values[from + i]!));
    const d = most / 127;
    setHalf(view, at, d);
    // Halves are rounded away from zero.
    for (let i = 0; i < 32; i++) {
      const value = d === 0 ? 0 : values[from + i]! / d;
      view.setInt8(at + 2 + i, Math.sign(value) * Math.round(Math.abs(value)));
    }
  },
};

/** Scale and minimum of one of eight parts, six bits each: `get_scale_min_k4` in ggml-quants.c. */
function scaleAndMinimum(view: DataView, at: number, part: number): readonly [scale: number, minimum: number] {
  const byte = (i: number) => view.getUint8(at + i);
  if (part < 4) return [byte(part) & 63, byte(part + 4) & 63];
  return [(byte(part + 4) & 15) | ((byte(part - 4) >> 6) << 4), (byte(part + 4) >> 4) | ((byte(part) >> 6) << 4)];
}

/** Q4_K and Q5_K: eight parts of 32 with a scale and a minimum each. */
function k4or5(name: string, id: number, bits: 4 | 5): BlockType {
  const data = bits === 5 ? 48 : 16;
  return {
    name,
    id,
    elements: 256,
    bytes: data + 128,
    dequantize(view, at, out, to) {
      const [d, dmin] = [half(view, at), half(view, at + 2)];
      for (let i = 0; i < 256; i++) {
        const part = i >> 5;
        const [scale, minimum] = scaleAndMinimum(view, at + 4, part);
        const low = (view.getUint8(at + data + 32 * (part >> 1) + (i % 32)) >> (4 * (part & 1))) & 15;
        const fifth = bits === 5 ? (view.getUint8(at + 16 + (i % 32)) >> part) & 1 : 0;
        out[to + i] = d * scale * (low + 16 * fifth) - dmin * minimum;
      }
    },
  };
}

const q2k: BlockType = {
  name: "Q2_K",
  id: 10,
  elements: 256,
  bytes: 84,
  dequantize(view, at, out, to) {
    const [d, dmin] = [half(view, at + 80), half(view, at + 82)];
    for (let i = 0; i < 256; i++) {
      const scale = view.getUint8(at + (i >> 4));
      const q = (view.getUint8(at + 16 + 32 * (i >> 7) + (i % 32)) >> (2 * ((i >> 5) & 3))) & 3;
      out[to + i] = d * (scale & 15) * q - dmin * (scale >> 4);
    }
  },
};

const q3k: BlockType = {
  name: "Q3_K",
  id: 11,
  elements: 256,
  bytes: 110,
  dequantize(view, at, out, to) {
    const d = half(view, at + 108);
    for (let i = 0; i < 256; i++) {
      const part = i >> 4;
      const low = (view.getUint8(at + 96 + (part % 8)) >> (part < 8 ? 0 : 4)) & 15;
      const high = (view.getUint8(at + 104 + (part % 4)) >> (2 * (part >> 2))) & 3;
      const q = (view.getUint8(at + 32 + 32 * (i >> 7) + (i % 32)) >> (2 * ((i >> 5) & 3))) & 3;
      const isHigh = (view.getUint8(at + (i % 32)) >> (i >> 5)) & 1;
      out[to + i] = d * ((low | (high << 4)) - 32) * (q - (isHigh ? 0 : 4));
    }
  },
};

const q6k: BlockType = {
  name: "Q6_K",
  id: 14,
  elements: 256,
  bytes: 210,
  dequantize(view, at, out, to) {
    const d = half(view, at + 208);
    for (let i = 0; i < 256; i++) {
      const [side, part, place] = [i >> 7, (i >> 5) & 3, i % 32];
      const low = (view.getUint8(at + 64 * side + 32 * (part & 1) + place) >> (part < 2 ? 0 : 4)) & 15;
      const high = (view.getUint8(at + 128 + 32 * side + place) >> (2 * part)) & 3;
      out[to + i] = d * view.getInt8(at + 192 + (i >> 4)) * ((low | (high << 4)) - 32);
    }
  },
};

/** `kvalues_iq4nl` in ggml-common.h. */
const IQ4_VALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

const iq4nl: BlockType = {
  name: "IQ4_NL",
  id: 20,
  elements: 32,
  bytes: 18,
  dequantize(view, at, out, to) {
    const d = half(view, at);
    for (let i = 0; i < 32; i++) out[to + i] = d * IQ4_VALUES[nibble(view, at + 2, i)]!;
  },
};

const iq4xs: BlockType = {
  name: "IQ4_XS",
  id: 23,
  elements: 256,
  bytes: 136,
  dequantize(view, at, out, to) {
    const d = half(view, at);
    const high = view.getUint16(at + 2, true);
    for (let i = 0; i < 256; i++) {
      const part = i >> 5;
      const low = (view.getUint8(at + 4 + (part >> 1)) >> (4 * (part & 1))) & 15;
      const scale = (low | (((high >> (2 * part)) & 3) << 4)) - 32;
      out[to + i] = d * scale * IQ4_VALUES[nibble(view, at + 8 + 16 * part, i % 32)]!;
    }
  },
};

const f32: BlockType = {
  name: "F32",
  id: 0,
  elements: 1,
  bytes: 4,
  isExact: true,
  dequantize(view, at, out, to) {
    out[to] = view.getFloat32(at, true);
  },
  quantize(values, from, view, at) {
    view.setFloat32(at, values[from]!, true);
  },
};

export const F16: BlockType = {
  name: "F16",
  id: 1,
  elements: 1,
  bytes: 2,
  isExact: true,
  dequantize(view, at, out, to) {
    out[to] = half(view, at);
  },
  quantize(values, from, view, at) {
    setHalf(view, at, values[from]!);
  },
};

const WORD = new DataView(new ArrayBuffer(4));

const bf16: BlockType = {
  name: "BF16",
  id: 30,
  elements: 1,
  bytes: 2,
  isExact: true,
  dequantize(view, at, out, to) {
    WORD.setUint32(0, view.getUint16(at, true) << 16);
    out[to] = WORD.getFloat32(0);
  },
  quantize(values, from, view, at) {
    WORD.setFloat32(0, values[from]!);
    const bits = WORD.getUint32(0);
    view.setUint16(at, ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff, true);
  },
};

/** By ggml's numbers; layouts of ggml-common.h. */
export const BLOCK_TYPES: ReadonlyMap<number, BlockType> = new Map(
  [
    f32,
    F16,
    bf16,
    fourOrFive("Q4_0", 2, 4, false),
    fourOrFive("Q4_1", 3, 4, true),
    fourOrFive("Q5_0", 6, 5, false),
    fourOrFive("Q5_1", 7, 5, true),
    q8,
    q2k,
    q3k,
    k4or5("Q4_K", 12, 4),
    k4or5("Q5_K", 13, 5),
    q6k,
    iq4nl,
    iq4xs,
  ].map((type) => [type.id, type]),
);
