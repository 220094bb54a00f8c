import { tensorOf } from "./builder.js";
import type { Graph, Node, Tensor } from "./ir.js";

/** The tensor that a Constant node gives, undefined for one that holds no tensor of numbers. */
export function tensorOfConstant(node: Node): Tensor | undefined {
  const { value, value_int, value_ints, value_float, value_floats } = node.attributes;
  if (value?.kind === "tensor") return value.value;
  if (value_int?.kind === "int") return tensorOf("int64", [value_int.value], []);
  if (value_ints?.kind === "ints") return tensorOf("int64", value_ints.value, [value_ints.value.length]);
  if (value_float?.kind === "float") return tensorOf("float32", [value_float.value], []);
  if (value_floats?.kind === "floats") return tensorOf("float32", value_floats.value, [value_floats.value.length]);
  return undefined;
}

/** Values that are the same in every run: initializers that no input overrides, and Constant nodes. */
export function constantsOf(graph: Graph): ReadonlyMap<string, Tensor> {
  const fed = new Set(graph.inputs.map(({ name }) => name));
  const constants = new Map([...graph.initializers].filter(([name]) => !fed.has(name)));
  for (const node of graph.nodes) {
    if (node.domain !== "" || node.op !== "Constant") continue;
    const tensor = tensorOfConstant(node);
    if (tensor) constants.set(node.outputs[0]!, tensor);
  }
  return constants;
}

type Read = (view: DataView, at: number) => number;
const READERS: { readonly [dtype: string]: readonly [size: number, read: Read] } = {
  float32: [4, (view, at) => view.getFloat32(at, true)],
  float64: [8, (view, at) => view.getFloat64(at, true)],
  int64: [8, (view, at) => Number(view.getBigInt64(at, true))],
  int32: [4, (view, at) => view.getInt32(at, true)],
  int8: [1, (view, at) => view.getInt8(at)],
  uint8: [1, (view, at) => view.getUint8(at)],
  bool: [1, (view, at) => view.getUint8(at)],
};

/** More elements than any shape, list of axes or scalar has: a tensor of more is not read. */
const FEW = 4096;

/** The elements of a small tensor in memory, undefined if they are elsewhere, many, or of a type that is not read here. */
export function numbersOf(tensor: Tensor | undefined): readonly number[] | undefined {
  const count = tensor?.dims.reduce((product, dim) => product * dim, 1) ?? 0;
  const reader = tensor && READERS[tensor.dtype];
  if (reader === undefined || tensor?.data.kind !== "bytes" || count > FEW) return undefined;
  const [size, read] = reader;
  const { buffer, byteOffset, byteLength } = tensor.data.bytes;
  if (byteLength < count * size) return undefined;
  const view = new DataView(buffer, byteOffset, byteLength);
  return Array.from({ length: count }, (_, i) => read(view, i * size));
}
