import type { DType } from "../picture/dtype.js";

/** `TensorDataType` of onnxruntime's adapter_schema.fbs, which is ONNX's own numbering, as far as a file can carry it. */
export const ONNX_TYPES = {
  F32: 1,
  U8: 2,
  I8: 3,
  U16: 4,
  I16: 5,
  I32: 6,
  I64: 7,
  BOOL: 9,
  F16: 10,
  F64: 11,
  U32: 12,
  U64: 13,
  C64: 14,
  BF16: 16,
  F8_E4M3: 17,
  F8_E4M3FNUZ: 18,
  F8_E5M2: 19,
  F8_E5M2FNUZ: 20,
} as const satisfies Partial<Readonly<Record<DType, number>>>;

export type OnnxDType = keyof typeof ONNX_TYPES;

const dtypes = new Map<number, OnnxDType>();
for (const name of Object.keys(ONNX_TYPES) as OnnxDType[]) dtypes.set(ONNX_TYPES[name], name);

export function dtypeOf(code: number): OnnxDType | undefined {
  return dtypes.get(code);
}

export function isOnnxDType(name: DType): name is OnnxDType {
  return Object.hasOwn(ONNX_TYPES, name);
}
