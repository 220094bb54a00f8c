import { OnnxError } from "../../base/errors.js";
import { BITS, byteLength, elementCount } from "../dtype.js";
import type { DType, Tensor } from "../ir.js";

/** A small tensor as plain numbers, row-major; booleans are 0 and 1. int64 is exact up to 2^53. */
export interface Dense {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

/** @throws OnnxError `shape-mismatch` if there are not as many numbers as the dimensions say */
export function dense(dtype: DType, dims: readonly number[], data: ArrayLike<number>): Dense {
  if (data.length !== elementCount(dims)) {
    const problem = `${data.length} elements for ${dims.join("x")}`;
    throw new OnnxError("shape-mismatch", "tensor", problem, "Give as many elements as the dimensions hold");
  }
  return { dtype, dims, data: data instanceof Float64Array ? data : Float64Array.from(data) };
}

interface Codec {
  read(view: DataView, at: number): number;
  write(view: DataView, at: number, value: number): void;
}

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n, maxUnsigned: 2n ** 64n - 1n } as const;

/** NaN becomes the smallest integer, as in x86's conversions. */
function clamp(value: number, min: bigint, max: bigint): bigint {
  if (!Number.isFinite(value)) return min;
  const integer = BigInt(Math.trunc(value));
  if (integer < min) return min;
  return integer > max ? max : integer;
}

const half: Codec = {
  read: (view, at) => fromHalf(view.getUint16(at, true)),
  write: (view, at, value) => view.setUint16(at, toHalf(value), true),
};

/** Elements of whole bytes. */
const CODECS: { readonly [T in DType]?: Codec } = {
  float32: {
    read: (view, at) => view.getFloat32(at, true),
    write: (view, at, value) => view.setFloat32(at, value, true),
  },
  float64: {
    read: (view, at) => view.getFloat64(at, true),
    write: (view, at, value) => view.setFloat64(at, value, true),
  },
  float16: half,
  bfloat16: {
    read: (view, at) => fromBits(view.getUint16(at, true) * 2 ** 16),
    write: (view, at, value) => view.setUint16(at, toBfloat16(value), true),
  },
  int64: {
    read: (view, at) => Number(view.getBigInt64(at, true)),
    write: (view, at, value) => view.setBigInt64(at, clamp(value, INT64.min, INT64.max), true),
  },
  uint64: {
    read: (view, at) => Number(view.getBigUint64(at, true)),
    write: (view, at, value) => view.setBigUint64(at, clamp(value, 0n, INT64.maxUnsigned), true),
  },
  int32: {
    read: (view, at) => view.getInt32(at, true),
    write: (view, at, value) => view.setInt32(at, value, true),
  },
  uint32: {
    read: (view, at) => view.getUint32(at, true),
    write: (view, at, value) => view.setUint32(at, value, true),
  },
  int16: {
    read: (view, at) => view.getInt16(at, true),
    write: (view, at, value) => view.setInt16(at, value, true),
  },
  uint16: {
    read: (view, at) => view.getUint16(at, true),
    write: (view, at, value) => view.setUint16(at, value, true),
  },
  int8: { read: (view, at) => view.getInt8(at), write: (view, at, value) => view.setInt8(at, value) },
  uint8: { read: (view, at) => view.getUint8(at), write: (view, at, value) => view.setUint8(at, value) },
  bool: { read: (view, at) => Math.min(1, view.getUint8(at)), write: (view, at, value) => view.setUint8(at, value) },
};

/** The numbers of a tensor; undefined if they are not in memory, or of a type that is not read here. */
export function fromTensor({ dtype, dims, data }: Tensor): Dense | undefined {
  if (data.kind !== "bytes") return undefined;
  const { bytes } = data;
  const values = new Float64Array(elementCount(dims));
  const codec = CODECS[dtype];
  if (codec !== undefined) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const width = byteLength(dtype, 1)!;
    for (let index = 0; index < values.length; index++) values[index] = codec.read(view, index * width);
  } else if (dtype === "int4" || dtype === "uint4") {
    const sign = dtype === "int4" ? 8 : 0;
    for (let index = 0; index < values.length; index++) {
      const nibble = (bytes[index >> 1]! >> (4 * (index & 1))) & 15;
      values[index] = (nibble ^ sign) - sign;
    }
  } else return undefined;
  return { dtype, dims, data: values };
}

/** The numbers as a tensor, rounded to what its type holds; undefined for a type that is not written here. */
export function toTensor({ dtype, dims, data }: Dense): Tensor | undefined {
  const codec = CODECS[dtype];
  if (codec === undefined) return undefined;
  const width = BITS[dtype]! / 8;
  const bytes = new Uint8Array(data.length * width);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < data.length; index++) codec.write(view, index * width, data[index]!);
  return { dtype, dims, data: { kind: "bytes", bytes } };
}

const scratch = new DataView(new ArrayBuffer(4));

function fromBits(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

/** Round to nearest, ties to even, by the 16 bits that are dropped. */
function toBfloat16(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  return Number.isNaN(value) ? 0x7fc0 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Round to nearest, ties to even. Source: IEEE 754, binary16 */
function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -14)));
  const scaled = roundToEven(size / 2 ** (exponent - 10));
  return sign | (exponent === -14 ? scaled : ((exponent + 15) << 10) + scaled - 1024);
}

/** The nearest integer, the even one of two. Source: IEEE 754, roundTiesToEven */
export function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
