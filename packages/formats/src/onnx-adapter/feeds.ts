import { FormatError, shown } from "../base/errors.js";
import type { Tensor } from "../picture/tensor-file.js";
import { readOnnxAdapter } from "./container.js";
import type { OnnxDType } from "./types.js";

/** What `new Tensor(type, data, dims)` of onnxruntime-common takes. */
export interface OnnxFeed {
  /** Element type. */
  readonly type: keyof typeof ARRAYS;
  /** Elements, row-major. */
  readonly data: InstanceType<(typeof ARRAYS)[keyof typeof ARRAYS]>;
  /** Size of each dimension. */
  readonly dims: readonly number[];
}

const ARRAYS = {
  float32: Float32Array,
  float16: Uint16Array,
  float64: Float64Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} as const;

/** Null where onnxruntime's JavaScript has no such tensors. */
const TYPES: { readonly [D in OnnxDType]: keyof typeof ARRAYS | null } = {
  F32: "float32",
  U8: "uint8",
  I8: "int8",
  U16: "uint16",
  I16: "int16",
  I32: "int32",
  I64: "int64",
  BOOL: "bool",
  F16: "float16",
  F64: "float64",
  U32: "uint32",
  U64: "uint64",
  C64: null,
  BF16: null,
  F8_E4M3: null,
  F8_E4M3FNUZ: null,
  F8_E5M2: null,
  F8_E5M2FNUZ: null,
};

/**
 * An `.onnx_adapter` as the inputs of a graph that takes its parameters as inputs, which onnxruntime's JavaScript has no
 * API for: `session.run({ ...inputs, ...feeds })`, each feed made a `Tensor`. Copied, so that the file may go. Where the
 * graph's parameters are optional inputs, as Olive leaves them, `feedInitializers` of `@microlora/onnx` first.
 * @throws FormatError `unsupported-dtype`, and as `readOnnxAdapter`
 */
export function onnxAdapterFeeds(bytes: Uint8Array): Readonly<Record<string, OnnxFeed>> {
  const { parameters } = readOnnxAdapter(bytes);
  return Object.fromEntries([...parameters].map(([name, tensor]) => [name, feedOf(name, tensor)]));
}

function feedOf(name: string, { dtype, shape, data }: Tensor): OnnxFeed {
  const type = Object.hasOwn(TYPES, dtype) ? TYPES[dtype as OnnxDType] : null;
  if (type === null) {
    const problem = `is ${dtype}, which onnxruntime's JavaScript cannot feed`;
    throw new FormatError("unsupported-dtype", shown(name), problem, "Convert the adapter to F32 or F16");
  }
  return { type, data: new ARRAYS[type](new Uint8Array(data).buffer), dims: shape };
}
