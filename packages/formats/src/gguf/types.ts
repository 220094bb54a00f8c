/** A metadata value's type: the number that stands for it, and the bytes of one; `gguf_type` in llama.cpp's gguf.h. */
export const VALUE_TYPES = {
  UINT8: { id: 0, bytes: 1 },
  INT8: { id: 1, bytes: 1 },
  UINT16: { id: 2, bytes: 2 },
  INT16: { id: 3, bytes: 2 },
  UINT32: { id: 4, bytes: 4 },
  INT32: { id: 5, bytes: 4 },
  FLOAT32: { id: 6, bytes: 4 },
  BOOL: { id: 7, bytes: 1 },
  STRING: { id: 8, bytes: 8 },
  ARRAY: { id: 9, bytes: 12 },
  UINT64: { id: 10, bytes: 8 },
  INT64: { id: 11, bytes: 8 },
  FLOAT64: { id: 12, bytes: 8 },
} as const satisfies Readonly<Record<string, { readonly id: number; readonly bytes: number }>>;

export type ValueType = keyof typeof VALUE_TYPES;

/**
 * The element types of tensors: the number that stands for one, and how many elements a block of so many bytes holds;
 * `ggml_type` in llama.cpp's ggml.h, with `GGML_QUANT_SIZES` in gguf-py's constants.py. Those that adapters come in.
 */
export const GGML_TYPES = {
  F32: { id: 0, elements: 1, bytes: 4 },
  F16: { id: 1, elements: 1, bytes: 2 },
  Q8_0: { id: 8, elements: 32, bytes: 34 },
  BF16: { id: 30, elements: 1, bytes: 2 },
} as const satisfies Readonly<
  Record<string, { readonly id: number; readonly elements: number; readonly bytes: number }>
>;

export type GgmlType = keyof typeof GGML_TYPES;

const valueTypes = new Map<number, ValueType>();
for (const name of Object.keys(VALUE_TYPES) as ValueType[]) valueTypes.set(VALUE_TYPES[name].id, name);

const ggmlTypes = new Map<number, GgmlType>();
for (const name of Object.keys(GGML_TYPES) as GgmlType[]) ggmlTypes.set(GGML_TYPES[name].id, name);

export function valueTypeOf(id: number): ValueType | undefined {
  return valueTypes.get(id);
}

export function ggmlTypeOf(id: number): GgmlType | undefined {
  return ggmlTypes.get(id);
}
