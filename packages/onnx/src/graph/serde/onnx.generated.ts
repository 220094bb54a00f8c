// Written by proto/build.mjs from proto/onnx.proto, ONNX 1.23.2 (github.com/onnx/onnx), Apache-2.0. Do not edit.

export const AttributeProto_AttributeType = {
  UNDEFINED: 0,
  FLOAT: 1,
  INT: 2,
  STRING: 3,
  TENSOR: 4,
  GRAPH: 5,
  SPARSE_TENSOR: 11,
  TYPE_PROTO: 13,
  FLOATS: 6,
  INTS: 7,
  STRINGS: 8,
  TENSORS: 9,
  GRAPHS: 10,
  SPARSE_TENSORS: 12,
  TYPE_PROTOS: 14,
} as const;

export const TensorProto_DataType = {
  UNDEFINED: 0,
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
  COMPLEX64: 14,
  COMPLEX128: 15,
  BFLOAT16: 16,
  FLOAT8E4M3FN: 17,
  FLOAT8E4M3FNUZ: 18,
  FLOAT8E5M2: 19,
  FLOAT8E5M2FNUZ: 20,
  UINT4: 21,
  INT4: 22,
  FLOAT4E2M1: 23,
  FLOAT8E8M0: 24,
  UINT2: 25,
  INT2: 26,
  FLOAT6E2M3: 27,
  FLOAT6E3M2: 28,
} as const;

export const TensorProto_DataLocation = {
  DEFAULT: 0,
  EXTERNAL: 1,
} as const;

export interface ModelProto {
  irVersion: bigint;
  producerName: string;
  producerVersion: string;
  domain: string;
  graph: GraphProto | undefined;
  opsetImport: OperatorSetIdProto[];
  metadataProps: StringStringEntryProto[];
  functions: FunctionProto[];
}

export interface OperatorSetIdProto {
  domain: string;
  version: bigint;
}

export interface GraphProto {
  node: NodeProto[];
  name: string;
  initializer: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  valueInfo: ValueInfoProto[];
  sparseInitializer: SparseTensorProto[];
  metadataProps: StringStringEntryProto[];
}

export interface NodeProto {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute: AttributeProto[];
  domain: string;
  overload: string;
  metadataProps: StringStringEntryProto[];
}

export interface AttributeProto {
  name: string;
  f: number;
  i: bigint;
  s: Uint8Array;
  t: TensorProto | undefined;
  g: GraphProto | undefined;
  floats: number[];
  ints: bigint[];
  strings: Uint8Array[];
  tensors: TensorProto[];
  graphs: GraphProto[];
  tp: TypeProto | undefined;
  typeProtos: TypeProto[];
  type: number;
  refAttrName: string;
  sparseTensor: SparseTensorProto | undefined;
  sparseTensors: SparseTensorProto[];
}

export interface TensorProto {
  dims: bigint[];
  dataType: number;
  floatData: number[];
  int32Data: number[];
  stringData: Uint8Array[];
  int64Data: bigint[];
  name: string;
  rawData: Uint8Array;
  doubleData: number[];
  uint64Data: bigint[];
  externalData: StringStringEntryProto[];
  dataLocation: number;
  metadataProps: StringStringEntryProto[];
}

export interface StringStringEntryProto {
  key: string;
  value: string;
}

export interface SparseTensorProto {
  values: TensorProto | undefined;
  indices: TensorProto | undefined;
  dims: bigint[];
}

export interface TypeProto {
  tensorType: TypeProto_Tensor | undefined;
  sequenceType: TypeProto_Sequence | undefined;
  mapType: TypeProto_Map | undefined;
  opaqueType: TypeProto_Opaque | undefined;
  sparseTensorType: TypeProto_SparseTensor | undefined;
  optionalType: TypeProto_Optional | undefined;
}

export interface TypeProto_Tensor {
  elemType: number;
  shape: TensorShapeProto | undefined;
}

export interface TensorShapeProto {
  dim: TensorShapeProto_Dimension[];
}

export interface TensorShapeProto_Dimension {
  dimValue: bigint | undefined;
  dimParam: string | undefined;
}

export interface TypeProto_Sequence {
  elemType: TypeProto | undefined;
}

export interface TypeProto_Map {
  keyType: number;
  valueType: TypeProto | undefined;
}

export interface TypeProto_Optional {
  elemType: TypeProto | undefined;
}

export interface TypeProto_SparseTensor {
  elemType: number;
  shape: TensorShapeProto | undefined;
}

export interface TypeProto_Opaque {
  domain: string;
  name: string;
}

export interface ValueInfoProto {
  name: string;
  type: TypeProto | undefined;
  metadataProps: StringStringEntryProto[];
}

export interface FunctionProto {
  name: string;
  input: string[];
  output: string[];
  attribute: string[];
  node: NodeProto[];
  opsetImport: OperatorSetIdProto[];
  domain: string;
  attributeProto: AttributeProto[];
  overload: string;
  metadataProps: StringStringEntryProto[];
}

export interface Messages {
  ModelProto: ModelProto;
  OperatorSetIdProto: OperatorSetIdProto;
  GraphProto: GraphProto;
  NodeProto: NodeProto;
  AttributeProto: AttributeProto;
  TensorProto: TensorProto;
  StringStringEntryProto: StringStringEntryProto;
  SparseTensorProto: SparseTensorProto;
  TypeProto: TypeProto;
  TypeProto_Tensor: TypeProto_Tensor;
  TensorShapeProto: TensorShapeProto;
  TensorShapeProto_Dimension: TensorShapeProto_Dimension;
  TypeProto_Sequence: TypeProto_Sequence;
  TypeProto_Map: TypeProto_Map;
  TypeProto_Optional: TypeProto_Optional;
  TypeProto_SparseTensor: TypeProto_SparseTensor;
  TypeProto_Opaque: TypeProto_Opaque;
  ValueInfoProto: ValueInfoProto;
  FunctionProto: FunctionProto;
}

/** Number, name and type of each field; a message's type is its name. */
export const FIELDS = {
  ModelProto: [
    [1, "irVersion", "int64"],
    [2, "producerName", "string"],
    [3, "producerVersion", "string"],
    [4, "domain", "string"],
    [7, "graph", "GraphProto"],
    [8, "opsetImport", "OperatorSetIdProto", "repeated"],
    [14, "metadataProps", "StringStringEntryProto", "repeated"],
    [25, "functions", "FunctionProto", "repeated"],
  ],
  OperatorSetIdProto: [
    [1, "domain", "string"],
    [2, "version", "int64"],
  ],
  GraphProto: [
    [1, "node", "NodeProto", "repeated"],
    [2, "name", "string"],
    [5, "initializer", "TensorProto", "repeated"],
    [11, "input", "ValueInfoProto", "repeated"],
    [12, "output", "ValueInfoProto", "repeated"],
    [13, "valueInfo", "ValueInfoProto", "repeated"],
    [15, "sparseInitializer", "SparseTensorProto", "repeated"],
    [16, "metadataProps", "StringStringEntryProto", "repeated"],
  ],
  NodeProto: [
    [1, "input", "string", "repeated"],
    [2, "output", "string", "repeated"],
    [3, "name", "string"],
    [4, "opType", "string"],
    [5, "attribute", "AttributeProto", "repeated"],
    [7, "domain", "string"],
    [8, "overload", "string"],
    [9, "metadataProps", "StringStringEntryProto", "repeated"],
  ],
  AttributeProto: [
    [1, "name", "string"],
    [2, "f", "float"],
    [3, "i", "int64"],
    [4, "s", "bytes"],
    [5, "t", "TensorProto"],
    [6, "g", "GraphProto"],
    [7, "floats", "float", "repeated"],
    [8, "ints", "int64", "repeated"],
    [9, "strings", "bytes", "repeated"],
    [10, "tensors", "TensorProto", "repeated"],
    [11, "graphs", "GraphProto", "repeated"],
    [14, "tp", "TypeProto"],
    [15, "typeProtos", "TypeProto", "repeated"],
    [20, "type", "enum"],
    [21, "refAttrName", "string"],
    [22, "sparseTensor", "SparseTensorProto"],
    [23, "sparseTensors", "SparseTensorProto", "repeated"],
  ],
  TensorProto: [
    [1, "dims", "int64", "repeated"],
    [2, "dataType", "int32"],
    [4, "floatData", "float", "repeated"],
    [5, "int32Data", "int32", "repeated"],
    [6, "stringData", "bytes", "repeated"],
    [7, "int64Data", "int64", "repeated"],
    [8, "name", "string"],
    [9, "rawData", "bytes"],
    [10, "doubleData", "double", "repeated"],
    [11, "uint64Data", "uint64", "repeated"],
    [13, "externalData", "StringStringEntryProto", "repeated"],
    [14, "dataLocation", "enum"],
    [16, "metadataProps", "StringStringEntryProto", "repeated"],
  ],
  StringStringEntryProto: [
    [1, "key", "string"],
    [2, "value", "string"],
  ],
  SparseTensorProto: [
    [1, "values", "TensorProto"],
    [2, "indices", "TensorProto"],
    [3, "dims", "int64", "repeated"],
  ],
  TypeProto: [
    [1, "tensorType", "TypeProto_Tensor", "oneof"],
    [4, "sequenceType", "TypeProto_Sequence", "oneof"],
    [5, "mapType", "TypeProto_Map", "oneof"],
    [7, "opaqueType", "TypeProto_Opaque", "oneof"],
    [8, "sparseTensorType", "TypeProto_SparseTensor", "oneof"],
    [9, "optionalType", "TypeProto_Optional", "oneof"],
  ],
  TypeProto_Tensor: [
    [1, "elemType", "int32"],
    [2, "shape", "TensorShapeProto"],
  ],
  TensorShapeProto: [
    [1, "dim", "TensorShapeProto_Dimension", "repeated"],
  ],
  TensorShapeProto_Dimension: [
    [1, "dimValue", "int64", "oneof"],
    [2, "dimParam", "string", "oneof"],
  ],
  TypeProto_Sequence: [
    [1, "elemType", "TypeProto"],
  ],
  TypeProto_Map: [
    [1, "keyType", "int32"],
    [2, "valueType", "TypeProto"],
  ],
  TypeProto_Optional: [
    [1, "elemType", "TypeProto"],
  ],
  TypeProto_SparseTensor: [
    [1, "elemType", "int32"],
    [2, "shape", "TensorShapeProto"],
  ],
  TypeProto_Opaque: [
    [1, "domain", "string"],
    [2, "name", "string"],
  ],
  ValueInfoProto: [
    [1, "name", "string"],
    [2, "type", "TypeProto"],
    [4, "metadataProps", "StringStringEntryProto", "repeated"],
  ],
  FunctionProto: [
    [1, "name", "string"],
    [4, "input", "string", "repeated"],
    [5, "output", "string", "repeated"],
    [6, "attribute", "string", "repeated"],
    [7, "node", "NodeProto", "repeated"],
    [9, "opsetImport", "OperatorSetIdProto", "repeated"],
    [10, "domain", "string"],
    [11, "attributeProto", "AttributeProto", "repeated"],
    [13, "overload", "string"],
    [14, "metadataProps", "StringStringEntryProto", "repeated"],
  ],
} as const;
