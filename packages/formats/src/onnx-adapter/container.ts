import { Builder, ByteBuffer } from "flatbuffers";
import { checkBytes } from "../base/bytes.js";
import { FormatError, shown } from "../base/errors.js";
import { refuseLookalike } from "../base/lookalikes.js";
import { byteLengthOf, type Tensor } from "../picture/tensor-file.js";
import { Table, type Vector } from "./table.js";
import { dtypeOf, isOnnxDType, ONNX_TYPES } from "./types.js";

/** The contents of an `.onnx_adapter`: onnxruntime's lora/adapter_format/adapter_schema.fbs, format version 1. */
export interface OnnxAdapter {
  readonly adapterVersion: number;
  readonly modelVersion: number;
  /** By the names of a graph's inputs; views of the file. */
  readonly parameters: ReadonlyMap<string, Tensor>;
}

const IDENTIFIER = "TORT";
const FORMAT_VERSION = 1;
const ADAPTER = { formatVersion: 0, adapterVersion: 1, modelVersion: 2, parameters: 3 } as const;
const PARAMETER = { name: 0, dims: 1, dataType: 2, rawData: 3 } as const;
const MAX_DIMENSIONS = 16;
const REMEDY = "Write it again with onnxruntime's AdapterFormat";

/** Whether bytes begin as an `.onnx_adapter` does. */
export function isOnnxAdapter(start: Uint8Array): boolean {
  return start.length >= 8 && new ByteBuffer(start).__has_identifier(IDENTIFIER);
}

/**
 * Checks an adapter file in full, and views its parameters.
 * @throws FormatError `not-this-format`, `unsupported-version`, `truncated`, `bad-offset`, `bad-header`, `bad-name`,
 * `duplicate-name`, `bad-shape`, `unsupported-dtype`
 */
export function readOnnxAdapter(bytes: Uint8Array): OnnxAdapter {
  checkBytes(bytes);
  refuseLookalike(bytes, "file");
  if (!isOnnxAdapter(bytes)) {
    throw new FormatError("not-this-format", "byte 4", `does not say ${IDENTIFIER}`, "Pass an .onnx_adapter file");
  }
  const root = Table.root(new ByteBuffer(bytes));
  const version = root.int32(ADAPTER.formatVersion);
  if (version !== FORMAT_VERSION) {
    const problem = `is ${version}, this program reads ${FORMAT_VERSION}`;
    throw new FormatError("unsupported-version", "format_version", problem, REMEDY);
  }
  const parameters = new Map<string, Tensor>();
  // Vectors may be shared: what all of them hold together may still not be more than the file.
  let used = 0;
  for (const table of root.tables(ADAPTER.parameters)) {
    const [name, tensor] = readParameter(bytes, table);
    if (parameters.has(name)) {
      throw new FormatError("duplicate-name", shown(name), "is the name of two parameters", REMEDY);
    }
    used += name.length + tensor.data.length;
    if (used > bytes.length) {
      throw new FormatError("bad-offset", shown(name), "shares its bytes with others", REMEDY);
    }
    parameters.set(name, tensor);
  }
  return {
    adapterVersion: root.int32(ADAPTER.adapterVersion),
    modelVersion: root.int32(ADAPTER.modelVersion),
    parameters,
  };
}

function readParameter(bytes: Uint8Array, table: Table): [string, Tensor] {
  const name = table.text(PARAMETER.name);
  if (name === null || name === "") throw new FormatError("bad-name", "parameter", "has no name", REMEDY);
  const code = table.int32(PARAMETER.dataType);
  const dtype = dtypeOf(code);
  if (dtype === undefined) {
    throw new FormatError("unsupported-dtype", shown(name), `is of ONNX's type ${code}`, "Store numbers");
  }
  const dims = table.vector(PARAMETER.dims, 8) ?? missing(name, "dims");
  const raw = table.vector(PARAMETER.rawData, 1) ?? missing(name, "raw_data");
  const shape = readDims(bytes, dims, name);
  const wanted = byteLengthOf(dtype, shape, shown(name));
  if (raw.length !== wanted) {
    const problem = `has ${raw.length} bytes, [${shape.join(", ")}] of ${dtype} takes ${wanted}`;
    throw new FormatError("bad-shape", shown(name), problem, REMEDY);
  }
  return [name, { dtype, shape, data: bytes.subarray(raw.start, raw.start + raw.length) }];
}

function readDims(bytes: Uint8Array, { start, length }: Vector, name: string): number[] {
  if (length > MAX_DIMENSIONS) throw new FormatError("bad-shape", shown(name), `has ${length} dimensions`, REMEDY);
  const buffer = new ByteBuffer(bytes);
  return Array.from({ length }, (_, i) => Number(buffer.readInt64(start + 8 * i)));
}

function missing(name: string, field: string): never {
  throw new FormatError("bad-header", shown(name), `has no ${field}`, REMEDY);
}

/**
 * The file of an adapter; the same parameters give the same bytes.
 * @throws FormatError `unsupported-dtype`, `bad-shape`
 */
export function writeOnnxAdapter({ adapterVersion, modelVersion, parameters }: OnnxAdapter): Uint8Array {
  let size = 1024;
  for (const [name, { shape, data }] of parameters) size += data.length + 3 * name.length + 8 * shape.length + 128;
  const builder = new Builder(size);
  const tables = [...parameters].map(([name, tensor]) => writeParameter(builder, name, tensor));
  builder.startVector(4, tables.length, 4);
  for (const table of tables.reverse()) builder.addOffset(table);
  const vector = builder.endVector();
  builder.startObject(Object.keys(ADAPTER).length);
  builder.addFieldInt32(ADAPTER.formatVersion, FORMAT_VERSION, 0);
  builder.addFieldInt32(ADAPTER.adapterVersion, adapterVersion, 0);
  builder.addFieldInt32(ADAPTER.modelVersion, modelVersion, 0);
  builder.addFieldOffset(ADAPTER.parameters, vector, 0);
  builder.finish(builder.endObject(), IDENTIFIER);
  return builder.asUint8Array().slice();
}

function writeParameter(builder: Builder, name: string, { dtype, shape, data }: Tensor): number {
  if (!isOnnxDType(dtype)) {
    throw new FormatError("unsupported-dtype", shown(name), `is ${dtype}, which ONNX has not`, "Convert it to F32");
  }
  if (data.length !== byteLengthOf(dtype, shape, shown(name))) {
    throw new FormatError("bad-shape", shown(name), `has ${data.length} bytes`, "Pass as many as its shape says");
  }
  const text = builder.createString(name);
  builder.startVector(8, shape.length, 8);
  for (const dim of shape.toReversed()) builder.addInt64(BigInt(dim));
  const dims = builder.endVector();
  // `force_align: 8` of the schema.
  builder.prep(8, data.length);
  const raw = builder.createByteVector(data);
  builder.startObject(Object.keys(PARAMETER).length);
  builder.addFieldOffset(PARAMETER.name, text, 0);
  builder.addFieldOffset(PARAMETER.dims, dims, 0);
  builder.addFieldInt32(PARAMETER.dataType, ONNX_TYPES[dtype], 0);
  builder.addFieldOffset(PARAMETER.rawData, raw, 0);
  return builder.endObject();
}
