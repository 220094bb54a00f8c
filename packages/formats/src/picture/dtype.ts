/**
 * The element types of safetensors 0.8 (`Dtype` in its tensor.rs), in its order, with their width in bits.
 * All of them are carried; F32, F16 and BF16 are computed with.
 */
export const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** Element type of a tensor, by its name in safetensors. */
export type DType = keyof typeof DTYPE_BITS;

/** The element types that adapters are stored in. */
export const FLOAT_DTYPES = ["F32", "F16", "BF16"] as const;
/** Element type of a floating-point tensor. */
export type FloatDType = (typeof FLOAT_DTYPES)[number];

export function isDType(name: unknown): name is DType {
  return typeof name === "string" && Object.hasOwn(DTYPE_BITS, name);
}

export function isFloatDType(name: DType): name is FloatDType {
  return (FLOAT_DTYPES as readonly DType[]).includes(name);
}
