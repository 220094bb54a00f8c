import type { DType } from "./ir.js";

/** Bits an element takes in ONNX's raw layout, where it has one. Source: onnx.proto, TensorProto.DataType and raw_data. */
export const BITS: { readonly [T in DType]: number | undefined } = {
  float32: 32,
  float64: 64,
  float16: 16,
  bfloat16: 16,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  float8e8m0: 8,
  float4e2m1: 4,
  int64: 64,
  int32: 32,
  int16: 16,
  int8: 8,
  int4: 4,
  int2: 2,
  uint64: 64,
  uint32: 32,
  uint16: 16,
  uint8: 8,
  uint4: 4,
  uint2: 2,
  complex64: 64,
  complex128: 128,
  bool: 8,
  string: undefined,
};

/** Whether elements are integers or booleans, which shapes and conditions are computed in. */
export function isIntegral(dtype: DType): boolean {
  return /^u?int/.test(dtype) || dtype === "bool";
}

/** Elements of a tensor: the product of its dimensions, 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((count, dim) => count * dim, 1);
}

/** Bytes that elements take in the raw layout, whole bytes for packed 4- and 2-bit types; undefined for strings. */
export function byteLength(dtype: DType, elements: number): number | undefined {
  const bits = BITS[dtype];
  return bits === undefined ? undefined : Math.ceil((elements * bits) / 8);
}

/** How an attribute names the element types that nodes are made to cast to. Source: onnx.proto, TensorProto.DataType */
export const TYPE_CODES = {
  float32: 1,
  int32: 6,
  int64: 7,
  float16: 10,
  float64: 11,
  bfloat16: 16,
} as const satisfies {
  readonly [T in DType]?: number;
};
