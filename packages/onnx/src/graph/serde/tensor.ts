import { OnnxError } from "../../base/errors.js";
import { byteLength, elementCount } from "../dtype.js";
import type { DType, Tensor, TensorData } from "../ir.js";
import type { Fields } from "./codec.js";
import { checkBytes, checkLocation } from "./location.js";
import { type TensorProto, TensorProto_DataLocation, TensorProto_DataType } from "./onnx.generated.js";
import type { ByteSource } from "./source.js";

/** The code of each element type. Source: onnx.proto, TensorProto.DataType. */
export const CODES: { readonly [T in DType]: number } = {
  float32: TensorProto_DataType.FLOAT,
  float64: TensorProto_DataType.DOUBLE,
  float16: TensorProto_DataType.FLOAT16,
  bfloat16: TensorProto_DataType.BFLOAT16,
  float8e4m3fn: TensorProto_DataType.FLOAT8E4M3FN,
  float8e4m3fnuz: TensorProto_DataType.FLOAT8E4M3FNUZ,
  float8e5m2: TensorProto_DataType.FLOAT8E5M2,
  float8e5m2fnuz: TensorProto_DataType.FLOAT8E5M2FNUZ,
  float8e8m0: TensorProto_DataType.FLOAT8E8M0,
  float4e2m1: TensorProto_DataType.FLOAT4E2M1,
  int64: TensorProto_DataType.INT64,
  int32: TensorProto_DataType.INT32,
  int16: TensorProto_DataType.INT16,
  int8: TensorProto_DataType.INT8,
  int4: TensorProto_DataType.INT4,
  int2: TensorProto_DataType.INT2,
  uint64: TensorProto_DataType.UINT64,
  uint32: TensorProto_DataType.UINT32,
  uint16: TensorProto_DataType.UINT16,
  uint8: TensorProto_DataType.UINT8,
  uint4: TensorProto_DataType.UINT4,
  uint2: TensorProto_DataType.UINT2,
  complex64: TensorProto_DataType.COMPLEX64,
  complex128: TensorProto_DataType.COMPLEX128,
  bool: TensorProto_DataType.BOOL,
  string: TensorProto_DataType.STRING,
};

const DTYPE_OF: ReadonlyMap<number, DType> = new Map(
  Object.entries(CODES).map(([dtype, code]) => [code, dtype as DType]),
);

/** The element type of a code; undefined for one that this package does not know. */
export function dtypeOf(code: number): DType | undefined {
  return DTYPE_OF.get(code);
}

/** A tensor of an outline; `source` has the bytes that it refers to. */
export function decodeTensor(proto: TensorProto, source: ByteSource, where: string): Tensor {
  const dtype = dtypeOf(proto.dataType);
  if (dtype === undefined) {
    const problem = `element type ${proto.dataType} is not known`;
    throw new OnnxError("unsupported-type", where, problem, "Export the model with a newer or a common element type");
  }
  const dims = proto.dims.map((dim) => checkDim(dim, where));
  const elements = elementCount(dims);
  if (!Number.isSafeInteger(elements * 16)) throw invalid(where, `its dimensions ${dims.join("x")} cannot be held`);
  return { dtype, dims, data: decodeData(proto, dtype, elements, source, where) };
}

function decodeData(proto: TensorProto, dtype: DType, elements: number, source: ByteSource, where: string): TensorData {
  const length = byteLength(dtype, elements);
  if (length === undefined) {
    if (proto.stringData.length === elements) return { kind: "strings", strings: proto.stringData };
    throw invalid(where, `it should have ${elements} strings, and has ${proto.stringData.length}`);
  }
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL) return externalData(proto, length, source, where);
  const bytes = proto.rawData.length > 0 ? proto.rawData : typedData(proto, dtype);
  if (bytes.length === length) return { kind: "bytes", bytes };
  throw invalid(where, `its elements should take ${length} bytes, and take ${bytes.length}`);
}

function externalData(proto: TensorProto, expected: number, source: ByteSource, where: string): TensorData {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const offset = checkBytes(entries.get("offset") ?? "0", where);
  const length = checkBytes(entries.get("length") ?? `${expected}`, where);
  if (length !== expected) throw invalid(where, `its elements should take ${expected} bytes, and take ${length}`);
  const location = entries.get("location");
  if (location !== "") return { kind: "external", location: checkLocation(location ?? "", where), offset, length };
  if (offset + length > source.length) throw invalid(where, "its elements are said to be behind the end of the file");
  return source.isInMemory
    ? { kind: "bytes", bytes: source.read(offset, length), fileOffset: offset }
    : { kind: "external", location, offset, length };
}

/** Elements in the typed fields, as raw bytes. Source: onnx.proto, the comments of float_data to uint64_data. */
function typedData(proto: TensorProto, dtype: DType): Uint8Array {
  const { floatData, int32Data, int64Data, doubleData, uint64Data } = proto;
  if (floatData.length > 0) return bytesOf(Float32Array.from(floatData));
  if (doubleData.length > 0) return bytesOf(Float64Array.from(doubleData));
  if (int64Data.length > 0) return bytesOf(BigInt64Array.from(int64Data));
  if (uint64Data.length > 0) {
    return bytesOf(dtype === "uint32" ? Uint32Array.from(uint64Data, Number) : BigUint64Array.from(uint64Data));
  }
  const width = byteLength(dtype, 1)!;
  if (width === 1) return Uint8Array.from(int32Data);
  return bytesOf(width === 2 ? Uint16Array.from(int32Data) : Int32Array.from(int32Data));
}

function bytesOf(array: ArrayBufferView<ArrayBuffer>): Uint8Array {
  return new Uint8Array(array.buffer);
}

function checkDim(dim: bigint, where: string): number {
  if (dim >= 0n && dim <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(dim);
  throw invalid(where, `a dimension of ${dim}`);
}

function invalid(where: string, problem: string): OnnxError {
  return new OnnxError("invalid-graph", where, problem, "Export the model again");
}

/** Where weights go when a model is written. */
export interface WeightPlacement {
  /** What the model's own file is called in the derived model's external data; undefined to copy what is in memory. */
  readonly self?: string;
  /** Tensors of fewer bytes are written into the file, for onnxruntime infers shapes from them. Default 1024 */
  readonly inlineBelow?: number;
  /** Writes the types of values between the inputs and outputs too. */
  readonly types?: boolean;
}

/** @throws OnnxError `external-data` if the elements are in the model's own file and no name is given for it */
export function encodeTensor(name: string, tensor: Tensor, placement: WeightPlacement): Fields<TensorProto> {
  const proto = { name, dims: tensor.dims.map(BigInt), dataType: CODES[tensor.dtype] };
  const { data } = tensor;
  if (data.kind === "strings") return { ...proto, stringData: [...data.strings] };
  if (data.kind === "external") return { ...proto, ...reference(name, data, placement.self) };
  if (placement.self === undefined || !isReferable(data, placement.inlineBelow ?? 1024))
    return { ...proto, rawData: data.bytes };
  const range = { location: "", offset: data.fileOffset, length: data.bytes.length };
  return { ...proto, ...reference(name, range, placement.self) };
}

function isReferable(
  data: Extract<TensorData, { kind: "bytes" }>,
  inlineBelow: number,
): data is typeof data & { fileOffset: number } {
  return data.fileOffset !== undefined && data.bytes.length >= inlineBelow;
}

/** Says where elements are. */
function reference(
  name: string,
  range: { readonly location: string; readonly offset: number; readonly length: number },
  self: string | undefined,
): Fields<TensorProto> {
  const location = range.location === "" ? self : range.location;
  if (location === undefined) {
    throw new OnnxError(
      "external-data",
      `tensor ${name}`,
      "its elements are in the model's own file, which was given no name",
      "Pass { self } with the name under which the runtime finds that file",
    );
  }
  const entries = Object.entries({ location, offset: `${range.offset}`, length: `${range.length}` });
  return {
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: entries.map(([key, value]) => ({ key, value })),
  };
}
