import { evaluateNode } from "../../testing/evaluate/evaluate.js";
import { type AttributeValue, GraphBuilder } from "../builder.js";
import { type Dense, dense, fromTensor } from "../elements/dense.js";
import type { Dim, Graph, TensorType } from "../ir.js";
import { CODES } from "../serde/tensor.js";

/** The version of the operators that the graphs are of. */
export const OPSET = 18;

/** What sizes of inputs are drawn from: symbols, and numbers. */
const SIZES: readonly Dim[] = ["a", "b", "c", 1, 2, 3];
export const SYMBOLS = ["a", "b", "c"] as const;

/** No value of a graph has more elements. */
const MOST = 2000;

/** Operators that make as many elements as their inputs say, and the largest number that they are told. */
const TOLD = new Set(["ConstantOfShape", "Expand", "Pad", "Range", "Tile"]);
const MOST_TOLD = 16;

/** Numbers that choose, one after the other; 0 where there are no more. */
export type Draws = readonly number[];

type Attributes = Record<string, AttributeValue>;

/** Adds nodes to a graph, each of which runs with the sizes that the graph is made with. */
export class Growth {
  readonly builder = new GraphBuilder("");
  readonly values = new Map<string, Dense>();
  #draws: Draws = [];
  #at = 0;

  restart(draws: Draws): void {
    this.#draws = draws;
    this.#at = 0;
  }

  /** A whole number from `from` to `to`. */
  int(from: number, to: number): number {
    return from + ((this.#draws[this.#at++] ?? 0) % (to - from + 1));
  }

  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError("nothing to pick from");
    return choices[this.int(0, choices.length - 1)]!;
  }

  /** Some value that is there, of these element types and of a rank. */
  value(dtypes: readonly string[], isRank: (rank: number) => boolean = () => true): string {
    const fitting = [...this.values].filter(([, { dtype, dims }]) => dtypes.includes(dtype) && isRank(dims.length));
    return this.pick(fitting.toReversed())[0];
  }

  dims(name: string): readonly number[] {
    return this.values.get(name)!.dims;
  }

  ints(...values: number[]): string {
    return this.constant("int64", values, [values.length]);
  }

  constant(dtype: "int64" | "float32" | "bool", values: readonly number[], dims: readonly number[]): string {
    const name = this.builder.constant(dtype, values, [...dims]);
    this.values.set(name, fromTensor(this.builder.initializers.get(name)!)!);
    return name;
  }

  /** Adds a node if it runs. @throws whatever the evaluator throws where it does not */
  op(op: string, inputs: readonly string[], attributes: Attributes = {}, outputs = 1): string {
    const names = this.builder.ops(op, inputs, outputs, attributes);
    const node = this.builder.nodes.pop()!;
    const given = inputs.map((name) => (name === "" ? undefined : this.values.get(name)!));
    if (TOLD.has(op) && given.some((value) => value?.data.some((each) => Math.abs(each) > MOST_TOLD)))
      throw new RangeError("it is told to grow too large");
    const results = evaluateNode(node, given, OPSET);
    if (results.some(({ data }) => data.length > MOST || data.some((each) => Math.abs(each) > 2 ** 30)))
      throw new RangeError("it grows too large");
    this.builder.add(node);
    for (const [index, name] of names.entries()) this.values.set(name, results[index]!);
    return names[0]!;
  }
}

const ANY = ["float32", "int64", "bool"];
const NUMBERS = ["float32", "int64"];
const ENDS = [0, 1, 2, 3, 7, -1, -2, -3, -9, 2 ** 31 - 1, -(2 ** 31), 2 ** 63, -(2 ** 63)];

/** A size as a vector of one element: of a value that is there, or computed from one, or a constant. */
function sizeVector(growth: Growth): string {
  const given = growth.value(["int64"], (rank) => rank <= 1);
  const count = growth.values.get(given)!.data.length;
  if (count === 0 || growth.int(0, 3) === 0) return growth.ints(growth.pick(ENDS));
  return growth.op("Gather", [growth.op("Reshape", [given, growth.ints(-1)]), growth.ints(growth.int(0, count - 1))]);
}

function sizeScalar(growth: Growth): string {
  return growth.op("Squeeze", [sizeVector(growth)]);
}

/** A shape: constant, that of another value, or put together from sizes. */
function shapeVector(growth: Growth, constant: readonly number[]): string {
  const kind = growth.int(0, 3);
  if (kind === 0) return growth.op("Shape", [growth.value(ANY)]);
  if (kind === 1) return growth.value(["int64"], (rank) => rank === 1);
  const count = growth.int(0, 3);
  if (kind === 2) return growth.ints(...Array.from({ length: count }, () => growth.pick(constant)));
  const sizes = Array.from({ length: count + 1 }, () =>
    growth.int(0, 1) === 0 ? growth.ints(growth.pick(constant)) : sizeVector(growth),
  );
  return growth.op("Concat", sizes, { axis: 0 });
}

function axisOf(growth: Growth, value: string): number {
  const rank = growth.dims(value).length;
  return growth.int(-rank, rank - 1);
}

/** Some axes of a value, each once. */
function axesOf(growth: Growth, rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter(() => growth.int(0, 1) === 1);
  return axes.map((axis) => (growth.int(0, 1) === 0 ? axis : axis - rank));
}

const isVector = (rank: number) => rank > 0;

export type Step = (growth: Growth) => unknown;

/** A step of a graph's growth each; one that comes to nothing throws. */
export const STEPS: readonly Step[] = [
  (growth) => {
    const value = growth.value(ANY);
    const attributes = growth.int(0, 2) > 0 ? {} : { start: growth.int(-3, 3), end: growth.int(-3, 4) };
    return growth.op("Shape", [value], attributes);
  },
  (growth) => growth.op("Size", [growth.value(ANY)]),
  (growth) => {
    const value = growth.value(ANY, isVector);
    const axis = axisOf(growth, value);
    const size = growth.dims(value).at(axis)!;
    const index = Array.from({ length: growth.int(0, 2) }, () => growth.int(-size, size - 1));
    const indices = growth.int(0, 1)
      ? growth.ints(...index)
      : growth.constant("int64", [growth.int(-size, size - 1)], []);
    return growth.op("Gather", [value, indices], { axis });
  },
  (growth) => {
    const op = growth.pick(["Add", "Sub", "Mul", "Min", "Max"]);
    const dtype = growth.pick(["int64", "int64", "float32"] as const);
    const other = growth.int(0, 1) ? growth.value([dtype]) : growth.constant(dtype, [growth.int(-3, 5)], []);
    return growth.op(op, growth.int(0, 1) ? [growth.value([dtype]), other] : [other, growth.value([dtype])]);
  },
  (growth) => {
    const op = growth.pick(["Div", "Mod"]);
    const least = growth.constant("int64", [1], []);
    const divisor = growth.int(0, 2)
      ? growth.constant("int64", [growth.pick([1, 2, 3, 4, -2])], [])
      : growth.op("Max", [growth.value(["int64"]), least]);
    return growth.op(op, [growth.value(["int64"]), divisor]);
  },
  (growth) => growth.op(growth.pick(["Abs", "Neg"]), [growth.value(NUMBERS)]),
  (growth) =>
    growth.op("Range", [
      growth.int(0, 1) ? sizeScalar(growth) : growth.constant("int64", [growth.int(-2, 3)], []),
      sizeScalar(growth),
      growth.constant("int64", [growth.pick([1, 1, 2, 3, -1, -2])], []),
    ]),
  (growth) => {
    const value = growth.value(ANY, isVector);
    const bound = () => (growth.int(0, 2) ? growth.ints(growth.pick(ENDS)) : sizeVector(growth));
    const step = growth.ints(growth.pick([1, 1, 2, 3, -1, -1, -2]));
    return growth.op("Slice", [value, bound(), bound(), growth.ints(axisOf(growth, value)), step]);
  },
  (growth) => {
    const value = growth.value(ANY);
    return growth.op("Reshape", [value, shapeVector(growth, [-1, 0, 1, 2, 3])], {
      allowzero: +(growth.int(0, 7) === 0),
    });
  },
  (growth) => {
    const value = growth.value(ANY);
    const dims = growth.dims(value);
    const axes = axesOf(growth, dims.length).filter((axis) => dims.at(axis) === 1);
    return growth.op("Squeeze", growth.int(0, 2) ? [value, growth.ints(...axes)] : [value]);
  },
  (growth) => {
    const value = growth.value(ANY, (rank) => rank < 4);
    const more = growth.int(1, 2);
    const rank = growth.dims(value).length + more;
    const axes = [growth.int(-rank, rank - 1), growth.int(0, rank - 1)].slice(0, more);
    return growth.op("Unsqueeze", [value, growth.ints(...axes)]);
  },
  (growth) => growth.op("Expand", [growth.value(ANY), shapeVector(growth, [1, 1, 2, 3, 0])]),
  (growth) => {
    const value = growth.value(NUMBERS);
    const repeats = growth
      .dims(value)
      .map(() => (growth.int(0, 2) ? growth.ints(growth.int(0, 2)) : sizeVector(growth)));
    return growth.op("Tile", [value, growth.op("Concat", repeats, { axis: 0 })]);
  },
  (growth) => {
    const value = growth.value(ANY);
    const axes = growth.dims(value).map((_, axis) => [growth.int(0, 9), axis] as const);
    const perm = axes.toSorted(([a], [b]) => a - b).map(([, axis]) => axis);
    return growth.op("Transpose", [value], growth.int(0, 2) ? { perm } : {});
  },
  (growth) => {
    const value = growth.value(ANY);
    const rank = growth.dims(value).length;
    return growth.op("Flatten", [value], { axis: growth.int(-rank, rank) });
  },
  (growth) => {
    const value = growth.value(NUMBERS, isVector);
    const axis = axisOf(growth, value);
    const parts = growth.int(1, 3);
    if (growth.int(0, 1) === 0) return growth.op("Split", [value], { axis, num_outputs: parts }, parts);
    const size = growth.dims(value).at(axis)!;
    const first = growth.int(0, size);
    return growth.op("Split", [value, growth.ints(first, size - first)], { axis }, 2);
  },
  (growth) => {
    const value = growth.value(NUMBERS, isVector);
    const rank = growth.dims(value).length;
    const amount = () => growth.pick([0, 0, 1, 2, -1]);
    if (growth.int(0, 1) === 0) {
      const pads = Array.from({ length: 2 * rank }, amount);
      return growth.op("Pad", [value, growth.ints(...pads)]);
    }
    const pads = growth.op("Concat", [growth.ints(amount()), sizeVector(growth)], { axis: 0 });
    return growth.op("Pad", [value, pads, "", growth.ints(axisOf(growth, value))]);
  },
  (growth) => {
    const op = growth.pick(["ReduceSum", "ReduceProd", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceL2"]);
    const value = growth.value(op === "ReduceL2" || op === "ReduceMean" ? ["float32"] : NUMBERS);
    const attributes = { keepdims: growth.int(0, 1), noop_with_empty_axes: +(growth.int(0, 3) === 0) };
    const axes = axesOf(growth, growth.dims(value).length);
    return growth.op(op, growth.int(0, 2) ? [value, growth.ints(...axes)] : [value], attributes);
  },
  (growth) => {
    const value = growth.value(["float32"], isVector);
    return growth.op(growth.pick(["ArgMax", "ArgMin"]), [value], {
      axis: axisOf(growth, value),
      keepdims: growth.int(0, 1),
    });
  },
  (growth) => {
    const value = growth.value(["float32"], isVector);
    const axis = axisOf(growth, value);
    const size = growth.dims(value).at(axis)!;
    const wanted = growth.int(0, 1) ? growth.ints(growth.int(0, size)) : sizeVector(growth);
    return growth.op("TopK", [value, growth.op("Min", [wanted, growth.ints(size)])], { axis }, 2);
  },
  (growth) => growth.op("MatMul", [growth.value(["float32"], isVector), growth.value(["float32"], isVector)]),
  (growth) => {
    const value = growth.value(["float32"], isVector);
    return growth.op("MatMul", [value, growth.op("Transpose", [growth.value(["float32"], (rank) => rank === 2)])]);
  },
  (growth) => {
    const matrix = () => growth.value(["float32"], (rank) => rank === 2);
    return growth.op("Gemm", [matrix(), matrix()], { transA: growth.int(0, 1), transB: growth.int(0, 1) });
  },
  (growth) => {
    const op = growth.pick(["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]);
    const other = growth.int(0, 1) ? growth.value(["int64"]) : growth.constant("int64", [growth.int(-1, 4)], []);
    return growth.op(op, [growth.value(["int64"]), other]);
  },
  (growth) => growth.op("Not", [growth.value(["bool"])]),
  (growth) => growth.op(growth.pick(["And", "Or"]), [growth.value(["bool"]), growth.value(["bool"])]),
  (growth) => {
    const dtype = growth.pick(["int64", "float32"]);
    return growth.op("Where", [growth.value(["bool"]), growth.value([dtype]), growth.value([dtype])]);
  },
  (growth) => growth.op("Cast", [growth.value(ANY)], { to: CODES[growth.pick(["float32", "int64", "bool"] as const)] }),
  (growth) => {
    const value = growth.value(ANY, isVector);
    const { dtype, dims } = growth.values.get(value)!;
    const other = growth.value([dtype], (rank) => rank === dims.length);
    return growth.op("Concat", [value, other], { axis: axisOf(growth, value) });
  },
  (growth) => {
    const fill = growth.constant("int64", [growth.int(-1, 3)], [1]);
    const value = { kind: "tensor", value: growth.builder.initializers.get(fill)! } as const;
    return growth.op("ConstantOfShape", [shapeVector(growth, [0, 1, 2, 3])], growth.int(0, 1) ? { value } : {});
  },
];

/** The inputs of a graph: floats of drawn shapes, and one vector of integers. */
function inputsOf(growth: Growth): { readonly name: string; readonly type: TensorType }[] {
  const floats = ["x", "y", "z"].map((name) => {
    const shape = Array.from({ length: growth.int(1, 3) }, () => growth.pick(SIZES));
    return { name, type: { dtype: "float32", shape } as const };
  });
  return [...floats, { name: "n", type: { dtype: "int64", shape: [2] } }];
}

/** What a graph is fed for given sizes. */
export function feedsFor(graph: Pick<Graph, "inputs">, sizes: ReadonlyMap<Dim, number>): Map<string, Dense> {
  return new Map(
    graph.inputs.map(({ name, type }) => {
      const dims = type!.shape!.map((dim) => sizes.get(dim) ?? Number(dim));
      const length = dims.reduce((product, size) => product * size, 1);
      return [
        name,
        dense(
          type!.dtype,
          dims,
          Array.from({ length }, (_, index) => ((index * 7) % 5) - 1),
        ),
      ];
    }),
  );
}

/**
 * A graph of operators that compute sizes and change shapes, all of whose values are outputs.
 * @param draws the inputs' first, then those of a step each
 * @param sizes with which it runs
 * @param choices of steps
 */
export function grow(
  [first = [], ...steps]: readonly Draws[],
  sizes: ReadonlyMap<Dim, number>,
  choices: readonly Step[] = STEPS,
): Graph {
  const growth = new Growth();
  growth.restart(first);
  const inputs = inputsOf(growth);
  for (const [name, value] of feedsFor({ inputs }, sizes)) growth.values.set(name, value);
  for (const draws of steps) {
    growth.restart(draws);
    try {
      growth.pick(choices)(growth);
    } catch {
      // What does not fit together is left out.
    }
  }
  const { nodes, initializers } = growth.builder;
  const outputs = nodes
    .flatMap(({ outputs }) => outputs)
    .map((name) => ({ name, type: { dtype: growth.values.get(name)!.dtype, shape: undefined } }));
  return { name: "random", nodes, inputs, outputs, initializers, types: new Map() };
}
