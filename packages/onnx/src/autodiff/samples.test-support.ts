import type { AttributeValue } from "../graph/builder.js";
import type { DType } from "../graph/ir.js";
import type { STANDARD_VJPS } from "./table.js";
import type { Vjp } from "./vjp.js";

/** The operators of the standard set that have a rule: each must have samples, or the tests do not compile. */
export type Ruled = {
  [K in keyof typeof STANDARD_VJPS]: (typeof STANDARD_VJPS)[K] extends Vjp ? K : never;
}[keyof typeof STANDARD_VJPS];

/** A random input that is differentiated, between two numbers. */
export interface Variable {
  readonly kind: "variable";
  readonly dims: readonly number[];
  readonly from: number;
  readonly to: number;
  /** Values that no element may be near, since the function has a corner there. */
  readonly corners: readonly number[];
}

/** An input that is given: as a constant of the model, or fed. */
export interface Given {
  readonly kind: "constant" | "fed";
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly values: readonly number[];
}

export interface Sample {
  readonly inputs: readonly (Variable | Given | null)[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly outputs: number;
  /** The rule needs the rank, and cuts off where it is unknown. */
  readonly needsRank?: true;
  /** Rounding counts as the identity: the derivative expected is that of the function without it. */
  readonly straightThrough?: true;
  /** onnxruntime has no kernel for the forward operator in float32 on a CPU. */
  readonly noKernel?: true;
}

function x(...dims: number[]): Variable {
  return { kind: "variable", dims, from: -2, to: 2, corners: [] };
}

function between(from: number, to: number, ...dims: number[]): Variable {
  return { kind: "variable", dims, from, to, corners: [] };
}

function off(corners: readonly number[], ...dims: number[]): Variable {
  return { kind: "variable", dims, from: -2, to: 2, corners };
}

function ints(...values: number[]): Given {
  return { kind: "constant", dtype: "int64", dims: [values.length], values };
}

/** The same, but not known before the graph runs. */
function fed({ dtype, dims, values }: Given): Given {
  return { kind: "fed", dtype, dims, values };
}

function given(dtype: DType, dims: readonly number[], ...values: number[]): Given {
  return { kind: "constant", dtype, dims, values };
}

function float(value: number): AttributeValue {
  return { kind: "float", value };
}

function text(value: string): AttributeValue {
  return value;
}

function sample(
  inputs: Sample["inputs"],
  attributes: Sample["attributes"] = {},
  more: Partial<Pick<Sample, "outputs" | "needsRank" | "straightThrough" | "noKernel">> = {},
): Sample {
  return { inputs, attributes, outputs: 1, ...more };
}

/** Ranks 0 to 5, sizes of one and none. */
const SHAPES: readonly (readonly number[])[] = [[], [3], [2, 3], [1, 3, 1], [2, 1, 2, 3], [2, 1, 2, 1, 2], [0, 3]];

function everyShape(make: (dims: readonly number[]) => Variable, attributes: Sample["attributes"] = {}): Sample[] {
  return SHAPES.map((dims) => sample([make(dims)], attributes));
}

const anywhere = () => everyShape((dims) => x(...dims));
const within = (from: number, to: number) => everyShape((dims) => between(from, to, ...dims));
const cornered = (corners: readonly number[], attributes: Sample["attributes"] = {}) =>
  everyShape((dims) => off(corners, ...dims), attributes);

/** Pairs of shapes that broadcast: one way, both ways, from a scalar, over none. */
const PAIRS: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], [3]],
  [[2, 3], []],
  [[], [2, 1]],
  [
    [2, 1, 3],
    [4, 1],
  ],
  [
    [1, 3],
    [2, 1],
  ],
  [
    [3, 1, 1],
    [2, 3, 2, 2],
  ],
  [
    [2, 1, 2, 1, 2],
    [2, 1, 3, 1],
  ],
  [
    [0, 3],
    [1, 3],
  ],
  [[], []],
];

function everyPair(left: readonly [number, number], right: readonly [number, number]): Sample[] {
  return PAIRS.map(([a, b]) => sample([between(...left, ...a), between(...right, ...b)]));
}

const REDUCTIONS: readonly (readonly [readonly number[], readonly number[] | undefined, number])[] = [
  [[2, 3, 4], [1], 1],
  [[2, 3, 4], [-1], 0],
  [[2, 3, 4], [0, 2], 0],
  [[2, 3, 4], [0, -1], 1],
  [[2, 3], undefined, 0],
  [[2, 3], undefined, 1],
  [[4], [0], 0],
  [[1, 3, 1], [0], 0],
  [[], undefined, 1],
  [[2, 2, 1, 2, 2], [1, 3], 0],
];

function reductions(from: number, to: number, corners: readonly number[] = [], empty = true): Sample[] {
  const variable = (dims: readonly number[]): Variable => ({ kind: "variable", dims, from, to, corners });
  const plain = REDUCTIONS.map(([dims, axes, keepdims]) =>
    sample([variable(dims), ...(axes ? [ints(...axes)] : [])], { keepdims }),
  );
  const late = sample([variable([2, 3, 4]), fed(ints(1, -1))], { keepdims: 0 });
  return [...plain, late, ...(empty ? [sample([variable([2, 0]), ints(1)], { keepdims: 1 })] : [])];
}

const along = (dims: readonly number[], axis: number) => sample([x(...dims)], { axis });
const softmaxes = [
  along([2, 3], -1),
  along([2, 3, 2], 1),
  along([4], 0),
  along([2, 1, 3, 1], 1),
  along([2, 2, 2, 2, 2], -2),
  along([0, 3], -1),
];

const reshapes = (attributes: Sample["attributes"] = {}) => [
  sample([x(2, 6), ints(3, 4)], attributes),
  sample([x(2, 3), ints(-1)], attributes),
  sample([x(1), given("int64", [0])], attributes),
  sample([x(2, 0), ints(0, 4)], { allowzero: 1 }),
  sample([x(2, 3, 2), fed(ints(0, -1))], attributes),
];

const normalized = (bias: boolean) => [
  sample([x(2, 3, 4), x(4), ...(bias ? [x(4)] : [])]),
  sample([x(2, 5), x(5)], { axis: 1, epsilon: float(1e-3) }),
  sample([x(2, 3, 4), x(3, 4), ...(bias ? [x(3, 4)] : [])], { axis: -2 }),
  sample([x(3), x(3)], { axis: 0 }),
  sample([x(2, 1, 2, 3), x(1), ...(bias ? [x(2, 3)] : [])], { axis: 2 }),
  sample([x(0, 3), x(3)]),
];

const quantized = [
  sample([x(2, 3), given("float32", [], 0.01), given("uint8", [], 100)], {}, { straightThrough: true }),
  sample(
    [x(2, 3), given("float32", [3], 0.01, 0.02, 0.04), given("int8", [3], 0, 1, 2)],
    { axis: -1 },
    { straightThrough: true },
  ),
  sample(
    [x(2, 3, 2), given("float32", [3], 0.02, 0.03, 0.02), given("int8", [3], 0, 1, 2)],
    { axis: 1 },
    { straightThrough: true, needsRank: true },
  ),
];

/** For every operator with a rule, where its derivative is checked. */
export const SAMPLES: { readonly [K in Ruled]: readonly Sample[] } = {
  Abs: cornered([0]),
  Acos: within(-0.8, 0.8),
  Acosh: within(1.5, 3),
  Add: everyPair([-2, 2], [-2, 2]),
  Asin: within(-0.8, 0.8),
  Asinh: anywhere(),
  Atan: anywhere(),
  Atanh: within(-0.8, 0.8),
  AveragePool: [
    sample([x(2, 2, 6)], { kernel_shape: [2], strides: [2] }),
    sample([x(1, 3, 5, 4)], { kernel_shape: [3, 2], pads: [1, 0, 1, 1] }),
    sample([x(1, 2, 7)], { kernel_shape: [3], strides: [2], pads: [1, 2], count_include_pad: 1 }),
    sample([x(2, 1, 7)], { kernel_shape: [2], dilations: [2] }),
    sample([x(1, 2, 7)], { kernel_shape: [2], strides: [2], ceil_mode: 1 }),
  ],
  BatchNormalization: [
    sample(
      [x(2, 3, 4), x(3), x(3), given("float32", [3], 0.1, 0.2, 0.3), given("float32", [3], 1, 2, 3)],
      {},
      { needsRank: true },
    ),
    sample(
      [x(2, 3), x(3), x(3), given("float32", [3], 0.1, 0.2, 0.3), given("float32", [3], 1, 2, 3)],
      {},
      { needsRank: true },
    ),
  ],
  Cast: everyShape((dims) => x(...dims), { to: 1 }),
  CastLike: [sample([x(2, 3), given("float32", [], 1)])],
  Celu: cornered([0], { alpha: float(0.7) }),
  CenterCropPad: [sample([x(5, 4), ints(3, 2)], {}, { noKernel: true })],
  Clip: [
    sample([off([-1, 1], 2, 3), given("float32", [], -1), given("float32", [], 1)]),
    sample([off([0.5], 4), null, given("float32", [], 0.5)]),
    sample([off([0.5], 4), given("float32", [], 0.5)]),
    sample([between(-2, -1.1, 2, 3), between(-1, -0.5), between(0.5, 1)]),
    sample([x(2)]),
  ],
  Compress: [sample([x(3, 2), given("bool", [3], 1, 0, 1)], { axis: 0 })],
  Concat: [
    sample([x(2, 3), x(2, 1)], { axis: 1 }),
    sample([x(2, 3), x(0, 3), x(1, 3)], { axis: -2 }),
    sample([x(2), given("float32", [1], 1), x(3)], { axis: 0 }),
    sample([x(2, 1, 2, 1, 2), x(2, 1, 2, 1, 1)], { axis: -1 }),
  ],
  Conv: [
    sample([x(2, 2, 5, 4), x(3, 2, 3, 2), x(3)], { strides: [2, 1], pads: [1, 0, 0, 1] }, { needsRank: true }),
    sample([x(1, 2, 6), x(3, 2, 2)], { strides: [2], dilations: [2] }, { needsRank: true }),
    sample([x(1, 3, 8, 8), x(2, 3, 4, 4), x(2)], { strides: [4, 4] }, { needsRank: true }),
    sample(
      [x(1, 4, 5), given("float32", [4, 1, 3], 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3)],
      { group: 4, pads: [1, 1] },
      { needsRank: true },
    ),
  ],
  ConvTranspose: [
    sample(
      [x(1, 2, 3, 3), given("float32", [2, 2, 2, 2], ...Array.from({ length: 16 }, (_, i) => i / 8 - 1)), x(2)],
      { strides: [2, 2] },
      { needsRank: true },
    ),
    sample(
      [x(1, 2, 3, 4), given("float32", [2, 1, 3, 2], ...Array.from({ length: 12 }, (_, i) => i / 8 - 1))],
      { pads: [1, 0, 1, 0] },
      { needsRank: true },
    ),
  ],
  Cos: anywhere(),
  Cosh: anywhere(),
  CumSum: [
    sample([x(2, 3), given("int64", [], 1)]),
    sample([x(2, 3), given("int64", [], -1)], { exclusive: 1 }),
    sample([x(4), given("int64", [], 0)], { reverse: 1 }),
    sample([x(2, 3), given("int64", [], 0)], { reverse: 1, exclusive: 1 }),
  ],
  DFT: [
    sample([x(2, 5, 1)], {}, { needsRank: true }),
    sample([x(2, 3, 4, 2), null, given("int64", [], 1)], { inverse: 1 }, { needsRank: true }),
    sample([x(3, 4, 2), null, given("int64", [], -2)], {}, { needsRank: true }),
  ],
  DepthToSpace: [
    sample([x(1, 8, 2, 3)], { blocksize: 2 }),
    sample([x(1, 8, 2, 3)], { blocksize: 2, mode: text("CRD") }),
  ],
  DequantizeLinear: [sample([x(2, 3), given("float32", [], 0.5), given("float32", [], 0)], {}, { noKernel: true })],
  Div: everyPair([-2, 2], [0.5, 2]),
  Dropout: [sample([x(2, 3)]), sample([x(2, 3), given("float32", [], 0.5), given("bool", [], 0)])],
  DynamicQuantizeLinear: [sample([x(2, 3)], {}, { straightThrough: true, outputs: 3 })],
  Einsum: [
    sample([x(2, 3), x(3, 4)], { equation: text("ij,jk->ik") }),
    sample([x(2, 3, 4), x(2, 5, 4)], { equation: text("bik,bjk->bij") }),
    sample([x(2, 2, 3), x(3)], { equation: text("...i,i->...") }),
    sample([x(2, 2, 3), x(3, 2)], { equation: text("...ij,jk->...ik") }),
    sample([x(2, 3)], { equation: text("ij->j") }),
    sample([x(2, 3), x(3, 2)], { equation: text("ij,jk") }),
    sample([x(2, 3, 2), x(2, 2)], { equation: text("b h d, b d -> b h") }),
    sample([x(2), x(3)], { equation: text("i,j->ij") }),
    sample([x(2, 3), x(2, 3), x(3)], { equation: text("ij,ij,j->i") }),
  ],
  Elu: cornered([0], { alpha: float(0.7) }),
  Erf: anywhere(),
  Exp: anywhere(),
  Expand: [
    sample([x(3, 1), ints(2, 3, 4)]),
    sample([x(), ints(2, 2)]),
    sample([x(2, 3), ints(1, 1)]),
    sample([x(1, 3), fed(ints(2, 1))]),
    sample([x(1, 3), ints(0, 3)]),
    sample([x(2, 1, 1, 2), ints(1, 3, 2, 1)]),
  ],
  Flatten: [
    sample([x(2, 3, 2)], { axis: 1 }),
    sample([x(2, 3)], { axis: 0 }),
    sample([x(2, 3, 2)], { axis: -1 }),
    sample([x()], { axis: 0 }),
  ],
  Gather: [
    sample([x(5, 3), given("int64", [2, 2], 0, 4, 4, -1)]),
    sample([x(2, 5), given("int64", [], 1)], { axis: 1 }),
    sample([x(2, 5, 2), given("int64", [3], 1, 1, -5)], { axis: -2 }),
    sample([x(2, 5), given("int64", [2, 1], 1, 1)], { axis: -1 }),
    sample([x(4), given("int64", [0])]),
    sample([x(3, 2), fed(given("int64", [4], 0, 0, 2, 2))]),
    sample([x(2, 3, 2, 2), given("int64", [2], 2, 0)], { axis: 1 }),
  ],
  GatherElements: [
    sample([x(3, 2), given("int64", [2, 2], 0, 2, 2, -3)], { axis: 0 }),
    sample([x(2, 3), given("int64", [2, 4], 0, 0, 1, 2, 2, 2, 2, 2)], { axis: -1 }),
  ],
  GatherND: [
    sample([x(3, 2), given("int64", [2, 2], 0, 1, 2, 0)]),
    sample([x(3, 2), given("int64", [3, 1], 0, 2, 2)]),
    sample([x(2, 3, 2), given("int64", [2, 1], 1, 1)], { batch_dims: 1 }),
  ],
  Gelu: [...anywhere(), ...everyShape((dims) => x(...dims), { approximate: text("tanh") })],
  Gemm: [
    sample([x(2, 3), x(3, 4), x(4)]),
    sample([x(3, 2), x(4, 3), x(2, 1)], { transA: 1, transB: 1, alpha: float(0.5), beta: float(2) }),
    sample([x(2, 3), x(4, 3)], { transB: 1 }),
    sample([x(3, 2), x(3, 4), x()], { transA: 1 }),
    sample([x(0, 3), x(3, 4), x(4)]),
  ],
  GlobalAveragePool: [sample([x(2, 3, 4, 2)]), sample([x(1, 2, 5)])],
  GlobalMaxPool: [sample([x(2, 3, 4, 2)], {}, { needsRank: true })],
  HardSigmoid: cornered([-2.5, 2.5, -1, 1], { alpha: float(0.5), beta: float(0.5) }),
  HardSwish: everyShape((dims) => ({ kind: "variable", dims, from: -5, to: 5, corners: [-3, 3] })),
  Identity: anywhere(),
  LayerNormalization: normalized(true),
  LeakyRelu: cornered([0], { alpha: float(0.2) }),
  Log: within(0.5, 3),
  LogSoftmax: softmaxes,
  LpNormalization: [sample([x(2, 3)]), sample([x(2, 3, 2)], { axis: 1 }), sample([off([0], 2, 3)], { p: 1 })],
  MatMul: [
    sample([x(2, 3), x(3, 4)]),
    sample([x(2, 3, 4), x(4, 2)]),
    sample([x(2, 3, 4), x(2, 4, 2)]),
    sample([x(1, 3, 4), x(2, 4, 2)]),
    sample([x(2, 1, 3, 4), x(3, 4, 2)]),
    sample([x(3, 4), x(2, 4, 2)]),
    sample([x(3), x(3)]),
    sample([x(3), x(3, 2)]),
    sample([x(2, 3), x(3)]),
    sample([x(2, 2, 3), x(3)]),
    sample([x(3), x(2, 3, 2)]),
    sample([x(0, 3), x(3, 2)]),
    sample([x(2, 0), x(0, 2)]),
    sample([x(2, 2, 1, 2, 3), x(2, 1, 3, 2)]),
  ],
  MatMulInteger: [
    sample(
      [x(2, 3), given("uint8", [3, 2], 1, 2, 3, 4, 5, 6), null, given("uint8", [], 3)],
      {},
      { noKernel: true, needsRank: true },
    ),
    sample(
      [x(2, 2, 3), given("int8", [3, 2], 1, -2, 3, -4, 5, 6), given("uint8", [], 7), given("int8", [2], 1, 2)],
      {},
      { noKernel: true, needsRank: true },
    ),
  ],
  Max: [sample([x(2, 3), x(3)]), sample([x(2, 1), x(3), x()]), sample([x(2)])],
  MaxPool: [
    sample([x(2, 2, 6)], { kernel_shape: [2], strides: [2] }),
    sample([x(1, 2, 7)], { kernel_shape: [3], strides: [2] }),
  ],
  Mean: [sample([x(2, 3), x(3), x()]), sample([x(2)])],
  Min: [sample([x(2, 3), x(3)]), sample([x(2, 1), x(3), x()])],
  Mish: anywhere(),
  Mod: [sample([between(0.1, 0.9, 2, 3), given("float32", [3], 1, 1, 1)], { fmod: 1 })],
  Mul: everyPair([-2, 2], [-2, 2]),
  Neg: anywhere(),
  PRelu: [sample([off([0], 2, 3), x(3)]), sample([off([0], 2, 3, 2), x(3, 1)]), sample([off([0], 2, 3), x(1)])],
  Pad: [
    sample([x(2, 3), ints(1, 0, 0, 2)]),
    sample([x(2, 3), ints(0, -1, 1, 0)]),
    sample([x(2, 3), ints(1, 2), given("float32", [], 0.5), ints(-1)]),
    sample([x(2, 4), ints(0, 2, 0, 1)], { mode: text("reflect") }),
    sample([x(2, 3), ints(1, 0, 0, 2)], { mode: text("edge") }),
    sample([x(2, 3), fed(ints(1, 0, 0, 2))]),
  ],
  Pow: [
    ...everyPair([0.5, 2], [-2, 2]),
    ...[1, 2, 3, 0.5, -1.5].map((exponent) => sample([between(0.5, 2, 2, 3), given("float32", [], exponent)])),
    sample([off([0], 2, 3), given("float32", [], 2)]),
    sample([off([0], 2, 3), given("float32", [3], 2, 3, 1)]),
    sample([between(0.5, 2, 2, 3), given("int64", [], 4)]),
  ],
  QLinearMatMul: [
    sample(
      [
        ...[x(2, 3), given("float32", [], 0.1), given("uint8", [], 5)],
        ...[given("int8", [3, 2], 1, -2, 3, -4, 5, 6), given("float32", [2], 0.5, 0.25), given("int8", [2], 0, 1)],
        ...[given("float32", [], 0.05), given("uint8", [], 128)],
      ],
      {},
      { straightThrough: true, noKernel: true, needsRank: true },
    ),
  ],
  QuantizeLinear: quantized,
  RMSNormalization: normalized(false),
  Reciprocal: within(0.5, 2),
  ReduceL1: reductions(-2, 2, [0]),
  ReduceL2: reductions(0.5, 2),
  ReduceLogSum: reductions(0.5, 2, [], false),
  ReduceLogSumExp: reductions(-2, 2, [], false),
  ReduceMax: reductions(-2, 2, [], false),
  ReduceMean: reductions(-2, 2, [], false),
  ReduceMin: reductions(-2, 2, [], false),
  ReduceProd: reductions(-2, 2),
  ReduceSum: [...reductions(-2, 2), sample([x(2, 3), given("int64", [0])], { noop_with_empty_axes: 1 })],
  ReduceSumSquare: reductions(-2, 2),
  Relu: cornered([0]),
  Reshape: reshapes(),
  Resize: [
    sample([x(1, 2, 3, 4), null, null, ints(1, 2, 6, 5)], { mode: text("linear") }, { needsRank: true }),
    sample(
      [x(1, 2, 4, 3), null, given("float32", [4], 1, 1, 2, 1)],
      { mode: text("nearest"), coordinate_transformation_mode: text("asymmetric"), nearest_mode: text("floor") },
      { needsRank: true },
    ),
    sample(
      [x(1, 1, 5, 4), null, null, ints(1, 1, 3, 7)],
      { mode: text("linear"), coordinate_transformation_mode: text("align_corners") },
      { needsRank: true },
    ),
  ],
  ReverseSequence: [
    sample([x(4, 2), given("int64", [2], 3, 2)]),
    sample([x(2, 4), given("int64", [2], 4, 1)], { batch_axis: 0, time_axis: 1 }),
  ],
  ScatterElements: [
    sample([x(3, 2), given("int64", [1, 2], 2, 0), x(1, 2)], { axis: 0 }),
    sample([x(2, 3), given("int64", [2, 2], 0, 2, 2, 1), x(2, 2)], { axis: 1 }),
    sample([x(4), given("int64", [3], 1, 1, 2), x(3)], { reduction: text("add") }),
  ],
  ScatterND: [
    sample([x(3, 2), given("int64", [1, 1], 1), x(1, 2)]),
    sample([x(3, 2), given("int64", [2, 2], 0, 1, 2, 0), x(2)]),
    sample([x(3, 2), given("int64", [2, 1], 1, 1), x(2, 2)], { reduction: text("add") }),
  ],
  Selu: cornered([0]),
  Shrink: cornered([-0.5, 0.5], { bias: float(0.3) }),
  Sigmoid: anywhere(),
  Sin: anywhere(),
  Sinh: anywhere(),
  Slice: [
    sample([x(4, 3), ints(1), ints(3)]),
    sample([x(4, 3), ints(-2), ints(Number.MAX_SAFE_INTEGER), ints(-1)]),
    sample([x(4, 3, 2), ints(0, 1), ints(-1, 3), ints(0, 1), ints(1, 1)]),
    sample([x(5), ints(4), ints(0), ints(0), ints(-2)]),
    sample([x(2, 6), ints(0), ints(6), ints(1), ints(2)]),
    sample([x(3), ints(2), ints(1)]),
    sample([x(4, 3), fed(ints(1)), fed(ints(3)), ints(0)]),
    sample([x(4, 3), fed(ints(-3, 0)), fed(ints(9, 2))]),
    sample([x(4, 3), fed(ints(1)), fed(ints(3)), fed(ints(1)), fed(ints(1))]),
    sample([x(2, 0), ints(0), ints(1)]),
  ],
  Softmax: softmaxes,
  Softplus: anywhere(),
  Softsign: cornered([0]),
  SpaceToDepth: [sample([x(1, 2, 4, 6)], { blocksize: 2 })],
  Split: [
    sample([x(5, 2), ints(2, 3)], { axis: 0 }, { outputs: 2 }),
    sample([x(2, 6)], { axis: -1, num_outputs: 3 }, { outputs: 3 }),
    sample([x(3), ints(0, 3)], {}, { outputs: 2 }),
  ],
  Sqrt: within(0.5, 2),
  Squeeze: [
    sample([x(2, 1, 3), ints(1)]),
    sample([x(1, 2, 1), ints(0, -1)]),
    sample([x(1, 2, 1)]),
    sample([x(1), ints(0)]),
  ],
  Sub: everyPair([-2, 2], [-2, 2]),
  Sum: [sample([x(2, 3), x(3), x()]), sample([x(2)])],
  Swish: everyShape((dims) => x(...dims), { alpha: float(1.7) }).map((each) => ({ ...each, noKernel: true as const })),
  Tan: within(-1, 1),
  Tanh: anywhere(),
  ThresholdedRelu: cornered([0.8], { alpha: float(0.8) }),
  Tile: [
    sample([x(2, 3), ints(2, 2)]),
    sample([x(3), ints(1)]),
    sample([x(2, 1, 2), fed(ints(1, 3, 2))]),
    sample([x(2), ints(0)]),
  ],
  TopK: [
    sample([x(2, 4), ints(2)], {}, { outputs: 2 }),
    sample([x(4, 2), ints(3)], { axis: 0, largest: 0 }, { outputs: 2 }),
  ],
  Transpose: [
    sample([x(2, 3)]),
    sample([x(2, 3, 4)], { perm: [1, 2, 0] }),
    sample([x(2, 1, 2, 3, 2)], { perm: [4, 0, 3, 1, 2] }),
    sample([x()]),
    sample([x(0, 2)]),
  ],
  Trilu: [
    sample([x(3, 4)]),
    sample([x(2, 3, 3), given("int64", [], 1)], { upper: 0 }),
    sample([x(3, 3), given("int64", [], -1)], { upper: 1 }),
  ],
  Unsqueeze: [
    sample([x(2, 3), ints(0, -1)]),
    sample([x(), ints(0)]),
    sample([x(2), fed(ints(1))]),
    sample([x(0), ints(0)]),
  ],
  Where: [
    sample([given("bool", [2, 3], 1, 0, 1, 0, 1, 0), x(2, 3), x(2, 3)]),
    sample([given("bool", [3], 1, 0, 1), x(2, 1), x()]),
    sample([given("bool", [2, 1, 1], 1, 0), x(3), x(2, 1)]),
    sample([given("bool", [], 1), x(2), given("float32", [], 0)]),
    sample([given("bool", [0, 1], ...[]), x(3), x(1)]),
  ],
};
