import type { Links } from "../graft/links.js";
import type { Site } from "../graft/sites.js";
import { intOf } from "../graph/attributes.js";
import { fromTensor, roundToEven } from "../graph/elements/dense.js";
import type { DType, Node, Tensor } from "../graph/ir.js";
import type { Layout } from "./layout.js";

/** How a weight is quantised: w = scale (code - zero), where elements share scales in groups. */
export interface Scheme {
  /** Holds the codes, one a byte or two. */
  readonly codes: string;
  readonly scale: string;
  readonly zero: string | undefined;
  /** Elements of the matrix, row after row as its codes lie. */
  readonly rows: number;
  readonly columns: number;
  /** Bits of a code, and whether it has a sign. */
  readonly bits: number;
  readonly isSigned: boolean;
  /** Bytes between rows of codes. */
  readonly rowBytes: number;
  /** Zero point where there is none. */
  readonly middle: number;
  groupOf(row: number, column: number): number;
}

const CODES: { readonly [T in DType]?: readonly [bits: number, isSigned: boolean] } = {
  int8: [8, true],
  uint8: [8, false],
  int4: [4, true],
  uint4: [4, false],
};

/** The scheme of a site's weight; undefined for one that is not taken apart here. */
export function schemeOf(links: Links, site: Site, layout: Layout | undefined): Scheme | undefined {
  const { node, weight } = site;
  if (node.op === "MatMulNBits") return blocksOfNBits(node);
  if (layout === undefined) return undefined;
  const place = scalesOf(links, site, layout);
  const tensor = links.constant(weight);
  const kind = tensor && CODES[tensor.dtype];
  const scale = place && links.constant(place.scale);
  if (place === undefined || tensor === undefined || kind === undefined || scale === undefined) return undefined;
  const [bits, isSigned] = kind;
  const { rows, columns } = layout;
  if (tensor.dims.length !== 2 || (bits === 4 && columns % 2 !== 0)) return undefined;
  const groups = groupsOf(scale, place, tensor.dims as readonly [number, number]);
  if (groups === undefined) return undefined;
  return {
    ...{ codes: weight, scale: place.scale, zero: place.zero || undefined, rows, columns, bits, isSigned },
    ...{ rowBytes: (columns * bits) / 8, middle: 0, groupOf: groups },
  };
}

interface Scales {
  readonly scale: string;
  readonly zero: string;
  readonly axis: number;
  readonly block: number;
}

function scalesOf(links: Links, { node, last }: Site, { dequantise }: Layout): Scales | undefined {
  const found = dequantise ?? (last.op === "DequantizeLinear" ? last : undefined);
  if (found !== undefined) {
    const [, scale = "", zero = ""] = found.inputs;
    return { scale, zero, axis: intOf(found.attributes, "axis", 1), block: intOf(found.attributes, "block_size", 0) };
  }
  const [, , two = "", three = "", , five = ""] = node.inputs;
  const byColumn = { axis: 1, block: 0 };
  if (node.op === "DynamicQuantizeMatMul") return { scale: two, zero: three, ...byColumn };
  if (node.op === "MatMulIntegerToFloat") return { scale: three, zero: five, ...byColumn };
  if (node.op !== "MatMulInteger" || last.op !== "Mul") return undefined;
  const scale = last.inputs.map((input) => scaleBehind(links, input)).find((each) => each !== undefined);
  return scale === undefined ? undefined : { scale, zero: three, ...byColumn };
}

/** The weight's scale where both scales are multiplied first. */
function scaleBehind(links: Links, value: string): string | undefined {
  const node = links.producer(value);
  return node?.op === "Mul" ? node.inputs.find((input) => links.constant(input) !== undefined) : undefined;
}

/** Which scale each element has. */
function groupsOf(
  { dims }: Tensor,
  { axis, block }: Scales,
  codes: readonly [number, number],
): Scheme["groupOf"] | undefined {
  const count = dims.reduce((product, dim) => product * dim, 1);
  if (count === 1) return () => 0;
  const front = axis < 0 ? axis + 2 : axis;
  if (block === 0) {
    if (count !== codes[front]) return undefined;
    return front === 0 ? (row) => row : (_, column) => column;
  }
  if (dims.length !== 2) return undefined;
  const width = dims[1]!;
  return front === 0
    ? (row, column) => Math.floor(row / block) * width + column
    : (row, column) => row * width + Math.floor(column / block);
}

/** MatMulNBits: [out, blocks, bytes], a scale a block. Source: onnxruntime, ContribOperators.md */
function blocksOfNBits({ inputs, attributes }: Node): Scheme | undefined {
  const [, codes = "", scale = "", zero = "", order = ""] = inputs;
  const [columns, rows] = [intOf(attributes, "K", 0), intOf(attributes, "N", 0)];
  const [bits, block] = [intOf(attributes, "bits", 4), intOf(attributes, "block_size", 32)];
  if (order !== "" || (bits !== 4 && bits !== 8) || zero !== "") return undefined;
  const blocks = Math.ceil(columns / block);
  return {
    ...{ codes, scale, zero: undefined, rows, columns, bits, isSigned: false },
    ...{ rowBytes: (blocks * block * bits) / 8, middle: 2 ** (bits - 1) },
    groupOf: (row, column) => row * blocks + Math.floor(column / block),
  };
}

/** The real numbers of codes. */
export function dequantise(
  scheme: Scheme,
  codes: Uint8Array,
  scales: ArrayLike<number>,
  zeros?: ArrayLike<number>,
): Float64Array {
  const { rows, columns, groupOf, middle } = scheme;
  const real = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const group = groupOf(row, column);
      real[row * columns + column] =
        (codeAt(scheme, codes, row, column) - zeroAt(zeros, group, middle)) * scales[group]!;
    }
  }
  return real;
}

function zeroAt(zeros: ArrayLike<number> | undefined, group: number, middle: number): number {
  if (zeros === undefined) return middle;
  return zeros.length === 1 ? zeros[0]! : zeros[group]!;
}

function codeAt({ bits, isSigned, rowBytes }: Scheme, codes: Uint8Array, row: number, column: number): number {
  const sign = isSigned ? 2 ** (bits - 1) : 0;
  const code =
    bits === 8 ? codes[row * rowBytes + column]! : (codes[row * rowBytes + (column >> 1)]! >> (4 * (column & 1))) & 15;
  return (code ^ sign) - sign;
}

/**
 * New codes and scales for real numbers: zero points stay, each scale is the smallest with which its group fits.
 * @param given scales to keep, where other weights share them
 */
export function requantise(
  scheme: Scheme,
  real: Float64Array,
  old: Float64Array,
  zeros?: ArrayLike<number>,
  given?: Float64Array,
) {
  const { rows, columns, bits, isSigned, rowBytes, groupOf, middle } = scheme;
  const [low, high] = isSigned ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
  const scales = given?.slice() ?? new Float64Array(old.length);
  const each = (visit: (at: number, group: number, row: number, column: number) => void) => {
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) visit(row * columns + column, groupOf(row, column), row, column);
  };
  if (given === undefined)
    each((at, group) => {
      const zero = zeroAt(zeros, group, middle);
      const room = real[at]! >= 0 ? high - zero : zero - low;
      if (room > 0) scales[group] = Math.max(scales[group]!, Math.abs(real[at]!) / room);
    });
  for (let group = 0; group < scales.length; group++) scales[group] = Math.fround(scales[group] || old[group]!);
  const codes = new Uint8Array(rows * rowBytes).fill(bits === 8 ? middle : middle * 17);
  each((at, group, row, column) => {
    const code = roundToEven(real[at]! / scales[group]!) + zeroAt(zeros, group, middle);
    put(scheme, codes, row, column, Math.max(low, Math.min(high, code)));
  });
  return { codes, scales };
}

function put({ bits, rowBytes }: Scheme, codes: Uint8Array, row: number, column: number, code: number): void {
  if (bits === 8) {
    codes[row * rowBytes + column] = code;
    return;
  }
  const [at, shift] = [row * rowBytes + (column >> 1), 4 * (column & 1)];
  codes[at] = (codes[at]! & ~(15 << shift)) | ((code & 15) << shift);
}

/** The elements of a small tensor as numbers. */
export function numbersOf(tensor: Tensor, bytes: Uint8Array): Float64Array | undefined {
  return fromTensor({ ...tensor, data: { kind: "bytes", bytes } })?.data;
}
