import { refuseArgument, shown } from "./check.js";
import { OnnxError } from "./errors.js";

/** A tensor in the caller's memory; onnxruntime's own tensors are such. */
export interface HostTensor {
  /** Element type as onnxruntime names it. */
  readonly type: string;
  /** Size of each dimension. */
  readonly dims: readonly number[];
  /** Elements, row-major. */
  readonly data: unknown;
}

/** Row-major lists of numbers or BigInts, or a tensor. */
export type Nested = readonly (number | bigint)[] | readonly (readonly (number | bigint)[])[] | HostTensor;

/** float32 values. */
export function floats(data: Float32Array | readonly number[], dims: readonly number[]): HostTensor {
  return { type: "float32", dims, data: data instanceof Float32Array ? data : Float32Array.from(data) };
}

/** int64 values. */
export function ints(data: readonly number[], dims: readonly number[]): HostTensor {
  return { type: "int64", dims, data: BigInt64Array.from(data, BigInt) };
}

/** Number of elements that dimensions give. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((size, dim) => size * dim, 1);
}

/** Lists or a tensor as plain numbers and their dimensions. @throws OnnxError `shape-mismatch`, `not-finite` */
export function numbersOf(
  value: Nested,
  where: string,
): { readonly values: readonly number[]; readonly dims: readonly number[] } {
  const { values, dims } = Array.isArray(value) ? ofLists(value, where) : ofTensor(value as HostTensor, where);
  checkFinite(values, where);
  return { values, dims };
}

/** A tensor in float32, not copied if it is in that. @throws OnnxError `shape-mismatch`, `not-finite` */
export function floatsOf(tensor: HostTensor, where: string): HostTensor {
  const { data, dims } = tensor;
  if (data instanceof Float32Array && data.length === sizeOf(dims)) {
    checkFinite(data, where);
    return floats(data, dims);
  }
  const { values } = numbersOf(tensor, where);
  return floats(values, dims);
}

function checkFinite(values: ArrayLike<number>, where: string): void {
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    throw new OnnxError("not-finite", `${where}[${i}]`, `is ${values[i]}`, "Pass finite numbers");
  }
}

/** Numbers of a list; BigInt, as tokenizers give them, too. */
function ofLists(value: readonly unknown[], where: string): { values: readonly number[]; dims: readonly number[] } {
  const rows = value.map((row) => (ArrayBuffer.isView(row) ? Array.from(row as unknown as ArrayLike<unknown>) : row));
  if (!Array.isArray(rows[0]))
    return { values: rows.map((each, i) => numberOf(each, `${where}[${i}]`)), dims: [rows.length] };
  const width = rows[0].length;
  if (rows.some((row) => !Array.isArray(row) || row.length !== width)) {
    throw new OnnxError("shape-mismatch", where, "has rows of different lengths", "Pad them to one length");
  }
  return {
    values: (rows as unknown[][]).flatMap((row, r) => row.map((each, i) => numberOf(each, `${where}[${r}][${i}]`))),
    dims: [rows.length, width],
  };
}

function numberOf(value: unknown, where: string): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  return refuseArgument(where, value, "Pass numbers");
}

function ofTensor(value: HostTensor, where: string): { values: readonly number[]; dims: readonly number[] } {
  const data: unknown = value?.data;
  const dims = value?.dims;
  if (!Array.isArray(dims) || !ArrayBuffer.isView(data) || !("length" in data) || data.length !== sizeOf(dims)) {
    const problem = `is ${shown(value)}, which is neither lists of numbers nor a tensor`;
    throw new OnnxError("shape-mismatch", where, problem, "Pass one of these");
  }
  return { values: Array.from(data as unknown as ArrayLike<number | bigint>, Number), dims };
}
