import { checkObject } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import { type HostTensor, sizeOf } from "../base/host-tensor.js";
import type { Dim, DType, Graph, Shape, ValueInfo } from "../graph/ir.js";

/** Tensors by the name of the input that takes them. */
export type Feeds = Readonly<Record<string, HostTensor>>;

/** What the feeds of a run say of its sizes. */
export interface Sizes {
  /** Rows of the batch. */
  readonly rows: number;
  /** Sizes of the model's symbols. */
  readonly symbols: ReadonlyMap<string, number>;
}

/**
 * Checks feeds against the inputs of a graph: their names, element types, ranks, sizes, and that symbols agree.
 * @param taken the inputs that this run takes, with the sizes that they have in it
 * @throws OnnxError `invalid-argument`, `unknown-value`, `unsupported-type`, `shape-mismatch`
 */
export function checkFeeds(
  graph: Graph,
  feeds: Feeds,
  batch: Dim | undefined,
  taken: readonly ValueInfo[] = graph.inputs,
): Sizes {
  checkObject(feeds, "feeds", `Pass a tensor for each of ${graph.inputs.map(({ name }) => name).join(", ")}`);
  const own = new Map(taken.map(({ name, type }) => [name, type]));
  const symbols = new Map<string, number>();
  const inputs = new Map(graph.inputs.map((input) => [input.name, input]));
  for (const name of Object.keys(feeds)) {
    if (!inputs.has(name))
      refuse("unknown-value", name, "is no input of this model", `Pass ${[...inputs.keys()].join(", ")}`);
  }
  for (const { name, type } of graph.inputs) {
    const feed = Object.hasOwn(feeds, name)
      ? feeds[name]!
      : refuse("unknown-value", name, "is missing", "Pass it in the feeds");
    if (!Array.isArray(feed?.dims)) refuse("unsupported-type", name, "is no tensor", "Pass { type, dims, data }");
    if (type === undefined) continue;
    if (feed.type !== type.dtype) refuse("unsupported-type", name, `is ${feed.type}`, `Pass ${type.dtype}`);
    checkData(feed, name);
    const shape = own.get(name)?.shape ?? type.shape;
    if (shape === undefined) continue;
    if (shape.length !== feed.dims.length) refuse("shape-mismatch", name, `is [${feed.dims}]`, `Pass [${shape}]`);
    if (!own.has(name)) continue;
    for (const [axis, dim] of shape.entries()) checkDim(dim, feed.dims[axis]!, name, shape, symbols);
  }
  return { rows: rowsOfBatch(batch, symbols, feeds), symbols };
}

/** The arrays that hold the elements of a tensor in a caller's memory; newer engines have a Float16Array too. */
const ARRAYS: { readonly [T in DType]?: readonly string[] } = {
  float32: ["Float32Array"],
  float64: ["Float64Array"],
  float16: ["Uint16Array", "Float16Array"],
  bfloat16: ["Uint16Array"],
  int64: ["BigInt64Array"],
  uint64: ["BigUint64Array"],
  int32: ["Int32Array"],
  uint32: ["Uint32Array"],
  int16: ["Int16Array"],
  uint16: ["Uint16Array"],
  int8: ["Int8Array"],
  uint8: ["Uint8Array", "Uint8ClampedArray"],
  bool: ["Uint8Array"],
};

function checkData(feed: HostTensor, name: string): void {
  const { dims, type } = feed;
  const size = dims.find((dim) => !Number.isSafeInteger(dim) || dim < 0);
  if (size !== undefined) refuse("shape-mismatch", name, `has a dimension of ${size}`, "Pass sizes");
  if (isOnDevice(feed)) return;
  const { data } = feed;
  const isList = Array.isArray(data);
  const found = Object.prototype.toString.call(data).slice("[object ".length, -1);
  const arrays = ARRAYS[type as DType];
  if (!isList && arrays !== undefined && !arrays.includes(found)) {
    const made = arrays[0] === "BigInt64Array" ? "BigInt64Array.from(values, BigInt)" : arrays.join(" or ");
    refuse("unsupported-type", name, `is ${type} with data in ${found}`, `Pass its data as ${made}`);
  }
  const { length } = data as ArrayLike<unknown>;
  if (length === undefined || length === sizeOf(dims)) return;
  refuse(
    "shape-mismatch",
    name,
    `has ${length} elements, [${dims}] needs ${sizeOf(dims)}`,
    "Pass as many as its dims say",
  );
}

/** Whether the elements of a tensor are elsewhere than in the caller's memory, on a GPU for example. */
function isOnDevice(feed: HostTensor): boolean {
  const { location } = feed as { readonly location?: string };
  return location !== undefined && location !== "cpu" && location !== "cpu-pinned";
}

function checkDim(dim: Dim, size: number, name: string, shape: readonly Dim[], symbols: Map<string, number>): void {
  if (typeof dim === "number") {
    if (dim !== size) refuse("shape-mismatch", name, `has ${size} where the model has ${dim}`, `Pass [${shape}]`);
    return;
  }
  const known = symbols.get(dim);
  if (known === undefined) symbols.set(dim, size);
  else if (known !== size && /^\w+$/.test(dim)) {
    refuse("shape-mismatch", name, `has ${size} for ${dim}, which is ${known} in other feeds`, `Pass [${shape}]`);
  }
}

function rowsOfBatch(batch: Dim | undefined, symbols: ReadonlyMap<string, number>, feeds: Feeds): number {
  if (typeof batch === "number") return batch;
  const known = batch === undefined ? undefined : symbols.get(batch);
  return known ?? Object.values(feeds)[0]?.dims[0] ?? 1;
}

/** The feeds that a graph takes. */
export function feedsOf({ inputs }: Graph, feeds: Feeds): Feeds {
  return Object.fromEntries(inputs.map(({ name }) => [name, feeds[name]!]));
}

/** The feeds of some of the rows. @param rows of the whole batch */
export function sliceFeeds(
  graph: Graph,
  feeds: Feeds,
  batch: Dim | undefined,
  rows: number,
  [from, to]: readonly [number, number],
): Record<string, HostTensor> {
  return Object.fromEntries(
    graph.inputs.map(({ name, type }) => {
      const feed = feeds[name]!;
      const axis = batchAxis(type?.shape ?? [], batch, feed.dims, rows);
      return [name, axis < 0 ? feed : sliceAxis(feed, axis, from, to)];
    }),
  );
}

/**
 * Where the batch is among the dimensions of an input: at its symbol, or at the front, where exporters give the batch of
 * each input a symbol of its own (torch.export: s33 for the tokens, s6 for their mask).
 */
function batchAxis(shape: readonly Dim[], batch: Dim | undefined, dims: readonly number[], rows: number): number {
  const axis = batch === undefined ? -1 : shape.indexOf(batch);
  if (axis >= 0) return axis;
  return dims.length >= 2 && dims[0] === rows && typeof shape[0] === "string" ? 0 : -1;
}

/**
 * Whether the rows of the batch can surely be computed apart: they come first in every feed and in some outputs, may be of any number,
 * and no activation is quantised by a scale that all rows have a part in.
 */
export function isRowwise(
  { inputs, nodes }: Graph,
  feeds: Feeds,
  batch: Dim | undefined,
  rows: number,
  outputs: readonly (Shape | undefined)[],
): boolean {
  const batches = new Set(inputs.map(({ type }) => type?.shape?.[0]).filter((dim) => typeof dim === "string"));
  return (
    inputs.every(({ name, type }) => batchAxis(type?.shape ?? [], batch, feeds[name]!.dims, rows) === 0) &&
    outputs.every((shape) => batches.has(String(shape?.[0]))) &&
    !nodes.some(({ op }) => SCALED_TOGETHER.has(op))
  );
}

/** Whether the outputs that a loss reads have the rows of the batch in front, as cutting a batch needs it. */
export function haveRowsInFront({ inputs }: Graph, outputs: readonly (Shape | undefined)[]): boolean {
  const batches = new Set(inputs.flatMap(({ type }) => type?.shape?.[0] ?? []));
  return outputs.every((shape) => shape === undefined || batches.has(shape[0] ?? -1));
}

/** Operators that take one scale over all rows of their input. */
const SCALED_TOGETHER = new Set(["DynamicQuantizeLinear", "DynamicQuantizeMatMul"]);

interface Elements {
  readonly length: number;
  slice(start: number, end: number): Elements & ArrayLike<number>;
  set(values: ArrayLike<number>, at: number): void;
}

/** Elements `from` to `to` of one axis. */
export function sliceAxis(tensor: HostTensor, axis: number, from: number, to: number): HostTensor {
  const { type, dims } = tensor;
  const data = tensor.data as Elements;
  const outer = sizeOf(dims.slice(0, axis));
  const inner = sizeOf(dims.slice(axis + 1));
  const size = dims[axis]!;
  const count = (to - from) * inner;
  const sliced = data.slice(from * inner, from * inner + outer * count);
  for (let o = 1; o < outer; o++) {
    const start = (o * size + from) * inner;
    sliced.set(data.slice(start, start + count), o * count);
  }
  return { type, dims: dims.map((dim, i) => (i === axis ? to - from : dim)), data: sliced };
}

function refuse(
  code: "unknown-value" | "unsupported-type" | "shape-mismatch",
  name: string,
  problem: string,
  remedy: string,
): never {
  throw new OnnxError(code, name, problem, remedy);
}
