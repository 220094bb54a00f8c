import { OnnxError } from "../../base/errors.js";
import type { Attribute, Graph, Tensor } from "../ir.js";
import { decode, encode, type Fields } from "./codec.js";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  type GraphProto,
  type TensorProto,
} from "./onnx.generated.js";

const Type = AttributeProto_AttributeType;
type TypeCode = (typeof Type)[keyof typeof Type];

/** How what is inside an attribute is decoded. */
export interface Inner {
  tensor(proto: TensorProto): Tensor;
  graph(proto: GraphProto): Graph;
}

type Decode = (proto: AttributeProto, inner: Inner) => Attribute | undefined;

const opaque: Decode = (proto) => ({ kind: "opaque", value: encode("AttributeProto", proto, true) });

const DECODE: { readonly [T in TypeCode]: Decode } = {
  [Type.UNDEFINED]: (proto, inner) => DECODE[guessType(proto)](proto, inner),
  [Type.INT]: ({ i }) => ({ kind: "int", value: Number(i) }),
  [Type.FLOAT]: ({ f }) => ({ kind: "float", value: f }),
  [Type.STRING]: (proto, inner) => {
    const value = utf8(proto.s);
    return value === undefined ? opaque(proto, inner) : { kind: "string", value };
  },
  [Type.TENSOR]: ({ t }, inner) => t && { kind: "tensor", value: inner.tensor(t) },
  [Type.GRAPH]: ({ g }, inner) => g && { kind: "graph", value: inner.graph(g) },
  [Type.INTS]: ({ ints }) => ({ kind: "ints", value: ints.map(Number) }),
  [Type.FLOATS]: ({ floats }) => ({ kind: "floats", value: floats }),
  [Type.STRINGS]: (proto, inner) => {
    const value = proto.strings.map(utf8);
    return value.every((text) => text !== undefined) ? { kind: "strings", value } : opaque(proto, inner);
  },
  [Type.SPARSE_TENSOR]: opaque,
  [Type.TYPE_PROTO]: opaque,
  [Type.TENSORS]: opaque,
  [Type.GRAPHS]: opaque,
  [Type.SPARSE_TENSORS]: opaque,
  [Type.TYPE_PROTOS]: opaque,
};

/** @throws OnnxError `invalid-graph` if the attribute lacks the value that its type promises */
export function decodeAttribute(proto: AttributeProto, inner: Inner, where: string): Attribute {
  if (proto.refAttrName !== "") return { kind: "reference", value: proto.refAttrName };
  const decodeAs = Object.hasOwn(DECODE, proto.type) ? DECODE[proto.type as TypeCode] : undefined;
  const attribute = decodeAs?.(proto, inner);
  if (attribute !== undefined) return attribute;
  const problem = `attribute ${JSON.stringify(proto.name.slice(0, 40))} of type ${proto.type} has no value`;
  throw new OnnxError("invalid-graph", where, problem, "Export the model again");
}

/** Files of IR version 1 do not tell the type. */
function guessType(proto: AttributeProto): Exclude<TypeCode, 0> {
  if (proto.t) return Type.TENSOR;
  if (proto.g) return Type.GRAPH;
  if (proto.ints.length > 0) return Type.INTS;
  if (proto.floats.length > 0) return Type.FLOATS;
  if (proto.strings.length > 0) return Type.STRINGS;
  if (proto.f !== 0) return Type.FLOAT;
  return proto.s.length > 0 ? Type.STRING : Type.INT;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

const encoder = new TextEncoder();

/** How what is inside an attribute is encoded. */
export interface InnerEncoder {
  tensor(tensor: Tensor): Fields<TensorProto>;
  graph(graph: Graph): Fields<GraphProto>;
}

type Encode<K extends Attribute["kind"]> = (
  value: Extract<Attribute, { kind: K }>["value"],
  inner: InnerEncoder,
) => Fields<AttributeProto>;

const ENCODE: { readonly [K in Exclude<Attribute["kind"], "opaque">]: Encode<K> } = {
  int: (value) => ({ type: Type.INT, i: toInt64(value) }),
  float: (value) => ({ type: Type.FLOAT, f: value }),
  string: (value) => ({ type: Type.STRING, s: encoder.encode(value) }),
  tensor: (value, inner) => ({ type: Type.TENSOR, t: inner.tensor(value) }),
  graph: (value, inner) => ({ type: Type.GRAPH, g: inner.graph(value) }),
  ints: (value) => ({ type: Type.INTS, ints: value.map(toInt64) }),
  floats: (value) => ({ type: Type.FLOATS, floats: [...value] }),
  strings: (value) => ({ type: Type.STRINGS, strings: value.map((text) => encoder.encode(text)) }),
  reference: (value) => ({ refAttrName: value }),
};

export function encodeAttribute(name: string, attribute: Attribute, inner: InnerEncoder): Fields<AttributeProto> {
  if (attribute.kind === "opaque") return present(decode("AttributeProto", attribute.value));
  const encodeAs = ENCODE[attribute.kind] as Encode<Attribute["kind"]>;
  return { name, ...encodeAs(attribute.value as never, inner) };
}

/** A message that was read, without what is zero in it. */
function present(proto: AttributeProto): Fields<AttributeProto> {
  return Object.fromEntries(Object.entries(proto).filter(([, value]) => value !== "" && value !== 0 && value !== 0n));
}

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n } as const;

function toInt64(value: number): bigint {
  const integer = BigInt(value);
  if (integer < INT64.min) return INT64.min;
  return integer > INT64.max ? INT64.max : integer;
}
