/**
 * The element types of a GGUF file: the number that stands for one, the elements of a block, and the bytes of that block.
 *
 * Source: `ggml_type` in llama.cpp's ggml.h, block structures in ggml-common.h, `GGML_QUANT_SIZES` in gguf-py's constants.py.
 */
export const GGML_TYPES = {
  F32: { id: 0, elements: 1, bytes: 4 },
  F16: { id: 1, elements: 1, bytes: 2 },
  Q4_0: { id: 2, elements: 32, bytes: 18 },
  Q4_1: { id: 3, elements: 32, bytes: 20 },
  Q5_0: { id: 6, elements: 32, bytes: 22 },
  Q5_1: { id: 7, elements: 32, bytes: 24 },
  Q8_0: { id: 8, elements: 32, bytes: 34 },
  Q2_K: { id: 10, elements: 256, bytes: 84 },
  Q3_K: { id: 11, elements: 256, bytes: 110 },
  Q4_K: { id: 12, elements: 256, bytes: 144 },
  Q5_K: { id: 13, elements: 256, bytes: 176 },
  Q6_K: { id: 14, elements: 256, bytes: 210 },
  IQ4_NL: { id: 20, elements: 32, bytes: 18 },
  IQ4_XS: { id: 23, elements: 256, bytes: 136 },
  BF16: { id: 30, elements: 1, bytes: 2 },
  MXFP4: { id: 39, elements: 32, bytes: 17 },
} as const satisfies Readonly<
  Record<string, { readonly id: number; readonly elements: number; readonly bytes: number }>
>;

export type GgmlType = keyof typeof GGML_TYPES;

/** The types whose elements are floats on their own. */
export type FloatType = "F32" | "F16" | "BF16";

/** The types whose elements are codes in blocks. */
export type BlockType = Exclude<GgmlType, FloatType>;

const TYPES: ReadonlyMap<number, GgmlType> = new Map(
  Object.entries(GGML_TYPES).map(([name, { id }]) => [id, name as GgmlType]),
);

/** The type of a number; undefined for one that is not read here. */
export function ggmlTypeOf(id: number): GgmlType | undefined {
  return TYPES.get(id);
}

export function isFloatType(type: GgmlType): type is FloatType {
  return GGML_TYPES[type].elements === 1;
}

/** Bytes of a metadata value of each type, by the number that stands for the type; `gguf_type` in llama.cpp's gguf.h. */
export const VALUE_BYTES: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];

export const STRING = 8;
export const ARRAY = 9;
