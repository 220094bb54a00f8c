/**
 * The graph as passes, derivatives and grafting see it. It knows no bytes: `serde/` reads and writes files. Everything is
 * a value: an edit makes a new graph (`verbs.ts`), so that a derived graph never disturbs the one it came from.
 *
 * Source: ONNX IR specification (onnx/docs/IR.md) and onnx.proto.
 */

/** Element types, named as onnxruntime's JavaScript API names them, and those it lacks as ONNX does. */
export const DTYPES = [
  "float32",
  "float64",
  "float16",
  "bfloat16",
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "float8e8m0",
  "float4e2m1",
  "int64",
  "int32",
  "int16",
  "int8",
  "int4",
  "int2",
  "uint64",
  "uint32",
  "uint16",
  "uint8",
  "uint4",
  "uint2",
  "complex64",
  "complex128",
  "bool",
  "string",
] as const;
/** Element type of a tensor. */
export type DType = (typeof DTYPES)[number];

/**
 * One dimension: its size, or a name for a size known only when the graph runs. Names are canonical expressions over the
 * symbols of the model's inputs (`batch`, `2*seq + past`; see `dim.ts`): the same text is the same size, other text may be.
 */
export type Dim = number | string;
/** Size of each dimension. */
export type Shape = readonly Dim[];

/** The type of a value as far as it is known; `shape` is undefined if even the rank is unknown. */
export interface TensorType {
  /** Element type. */
  readonly dtype: DType;
  /** Size of each dimension; undefined where the rank is not known. */
  readonly shape: Shape | undefined;
}

/** A graph's input or output; `type` is undefined if the file gives none, or if it is not a tensor. */
export interface ValueInfo {
  /** Name of the value. */
  readonly name: string;
  /** Element type and shape. */
  readonly type: TensorType | undefined;
}

/**
 * Where the elements of a tensor are, in ONNX's raw layout: little-endian, row-major, 4-bit types packed low nibble first.
 * `bytes`: in memory, a view that is never written to; `fileOffset` where the model's own file has the same bytes (so that a
 * derived graph can refer to them without a copy). `external`: in a file, `location` relative to the model's folder or, for
 * the bytes of the model file itself, "". `strings`: one UTF-8 text an element.
 */
export type TensorData =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly fileOffset?: number }
  | { readonly kind: "external"; readonly location: string; readonly offset: number; readonly length: number }
  | { readonly kind: "strings"; readonly strings: readonly Uint8Array[] };

/** A constant tensor. */
export interface Tensor {
  /** Element type. */
  readonly dtype: DType;
  /** Size of each dimension. */
  readonly dims: readonly number[];
  /** Where its elements are. */
  readonly data: TensorData;
}

/** An attribute. Integers are numbers; what a number cannot hold is clamped to ±2^63, which `serde/` writes as int64's limits. */
export type Attribute =
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "tensor"; readonly value: Tensor }
  | { readonly kind: "graph"; readonly value: Graph }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  /** In a function's body: the value of an attribute of the function. */
  | { readonly kind: "reference"; readonly value: string }
  /** Anything else (sparse tensors, type protos), an AttributeProto as it came. */
  | { readonly kind: "opaque"; readonly value: Uint8Array };

/** Attributes of a node, by name. */
export type Attributes = Readonly<Record<string, Attribute>>;

/**
 * One operation. `domain` is "" for the standard operators (also where a file says "ai.onnx"); a function's overload is part
 * of `op`, after a space.
 */
export interface Node {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  /** Names of values; "" for an optional input that is absent. */
  readonly inputs: readonly string[];
  /** Names of values, each defined once in the graph; "" for an optional output that nobody takes. */
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
  /** Notes of the exporter; PyTorch's puts module paths here (`pkg.torch.onnx.name_scopes`). */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Nodes stand in an order in which every value is defined before it is used. */
export interface Graph {
  /** Name of the graph. */
  readonly name: string;
  /** Nodes, each after those whose outputs it takes. */
  readonly nodes: readonly Node[];
  /** Inputs that a run takes. */
  readonly inputs: readonly ValueInfo[];
  /** Outputs that a run gives. */
  readonly outputs: readonly ValueInfo[];
  /** Constant tensors, by name. */
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Types that the file tells or that inference found, by value. */
  readonly types: ReadonlyMap<string, TensorType>;
}

/** A function of the model's own, which `passes/` expand before anything else looks at the graph. */
export interface ModelFunction {
  /** Name of the function's operator. */
  readonly name: string;
  /** Domain of the function's operator. */
  readonly domain: string;
  /** Names of its inputs. */
  readonly inputs: readonly string[];
  /** Names of its outputs. */
  readonly outputs: readonly string[];
  /** Names of attributes without a default. */
  readonly attributes: readonly string[];
  /** Attributes that have a default. */
  readonly defaults: Attributes;
  /** Its nodes, each after those whose outputs it takes. */
  readonly nodes: readonly Node[];
  /** Versions of the operator sets that its nodes use, by domain. */
  readonly opsets: ReadonlyMap<string, number>;
}

/** An ONNX model: its graph, and what goes with it. */
export interface Model {
  /** Version of ONNX's file format. */
  readonly irVersion: number;
  /** The program that wrote the file. */
  readonly producer: string;
  /** Version of each operator set, by domain; "" is the standard one. */
  readonly opsets: ReadonlyMap<string, number>;
  /** The main graph. */
  readonly graph: Graph;
  /** Functions of the model's own. */
  readonly functions: readonly ModelFunction[];
  /** Properties by name. */
  readonly metadata: ReadonlyMap<string, string>;
}
