import { FormatError } from "../base/errors.js";
import { type FloatDType, isFloatDType } from "./dtype.js";
import type { Tensor } from "./tensor-file.js";

const F32_WORD = new Float32Array(1);
const U32_WORD = new Uint32Array(F32_WORD.buffer);

/** Every value of a half, by its bits. */
let halves: Float32Array | undefined;

/** The numbers of a tensor as a new Float32Array; F64 is rounded. @throws FormatError `unsupported-dtype` */
export function toFloats(tensor: Tensor, where: string): Float32Array {
  const { dtype, data } = tensor;
  // Not slice: a Buffer's gives a view.
  if (dtype === "F64") return Float32Array.from(new Float64Array(new Uint8Array(data).buffer));
  if (!isFloatDType(dtype)) {
    throw new FormatError(
      "unsupported-dtype",
      where,
      `holds ${dtype}, which is not computed with`,
      "Convert it to F32, F16 or BF16",
    );
  }
  const bytes = new Uint8Array(data);
  if (dtype === "F32") return new Float32Array(bytes.buffer);
  const words = new Uint16Array(bytes.buffer);
  const floats = new Float32Array(words.length);
  if (dtype === "BF16") {
    const bits = new Uint32Array(floats.buffer);
    for (let i = 0; i < words.length; i++) bits[i] = words[i]! << 16;
  } else {
    for (let i = 0; i < words.length; i++) floats[i] = halfToFloat(words[i]!);
  }
  return floats;
}

/** A tensor of these numbers, rounded to nearest, ties to even. */
export function fromFloats(floats: Float32Array, shape: readonly number[], dtype: FloatDType = "F32"): Tensor {
  if (dtype === "F32") return { dtype, shape, data: new Uint8Array(floats.slice().buffer) };
  const round = dtype === "F16" ? floatToHalf : toBrain;
  const words = new Uint16Array(floats.length);
  for (let i = 0; i < floats.length; i++) words[i] = round(floats[i]!);
  return { dtype, shape, data: new Uint8Array(words.buffer) };
}

/**
 * The same for an adapter that is to be read again.
 * @throws FormatError `not-finite` for a number that is beyond what the element type holds
 */
export function storeFloats(floats: Float32Array, shape: readonly number[], dtype: FloatDType, where: string): Tensor {
  const tensor = fromFloats(floats, shape, dtype);
  const at = firstNotFinite(dtype, tensor.data);
  if (at === -1) return tensor;
  const problem = `is ${floats[at]}, which ${dtype} does not hold`;
  throw new FormatError("not-finite", `${where}[${at}]`, problem, "Write it in a wider type");
}

/** Index of the first infinity or NaN, -1 if there is none. @param data what `fromFloats` gave */
export function firstNotFinite(dtype: FloatDType, data: Uint8Array): number {
  const words = dtype === "F32" ? new Uint32Array(data.buffer) : new Uint16Array(data.buffer);
  const mask = { F32: 0x7f80_0000, F16: 0x7c00, BF16: 0x7f80 }[dtype];
  return words.findIndex((word) => (word & mask) === mask);
}

/** The value of an IEEE 754 binary16, by its bits. */
export function halfToFloat(word: number): number {
  halves ??= Float32Array.from({ length: 65_536 }, (_, bits) => halfValue(bits));
  return halves[word]!;
}

function halfValue(word: number): number {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >> 10) & 0x1f;
  const fraction = word & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The bits of the binary16 nearest to a float32, ties to even. */
export function floatToHalf(value: number): number {
  F32_WORD[0] = value;
  const sign = (U32_WORD[0]! >>> 16) & 0x8000;
  const size = U32_WORD[0]! & 0x7fff_ffff;
  if (size > 0x7f80_0000) return sign | 0x7e00;
  if (size >= 0x4780_0000) return sign | 0x7c00;
  if (size < 0x3880_0000) {
    // A float32 in [0.5, 1) counts in steps of 2^-24, as a half below 2^-14 does: the addition rounds.
    F32_WORD[0] = Math.abs(value) + 0.5;
    return sign | (U32_WORD[0]! - 0x3f00_0000);
  }
  // The exponent's bias is 112 less; half a step is added, less one bit where the last bit kept is even.
  return sign | ((size - 0x3800_0000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
}

/** The bits of the bfloat16 nearest to a float32. */
function toBrain(value: number): number {
  F32_WORD[0] = value;
  const bits = U32_WORD[0]!;
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
