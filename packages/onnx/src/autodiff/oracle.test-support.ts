import { floatOf, intOf, intsOf, stringOf } from "../graph/attributes.js";
import type { Evaluator } from "../graph/elements/context.js";
import { type Dense, dense, fromTensor, roundToEven } from "../graph/elements/dense.js";
import type { Graph, Node } from "../graph/ir.js";
import { EVALUATORS, evaluateNode } from "../testing/evaluate/evaluate.js";
import { RESAMPLING } from "./oracle-resampling.test-support.js";

/**
 * Every value of a graph in float64: the evaluators of `graph/evaluate/`, and plain ones of what only derivatives meet.
 *
 * @param rounds false for a function without rounding and with fixed scales, whose derivative is what straight-through means
 */
export function evaluate(graph: Graph, feeds: ReadonlyMap<string, Dense>, rounds = true): ReadonlyMap<string, Dense> {
  const values = new Map(feeds);
  for (const [name, tensor] of graph.initializers) {
    const value = fromTensor(tensor);
    if (value !== undefined && !values.has(name)) values.set(name, value);
  }
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => values.get(name));
    const missing = node.inputs.find((name, i) => name !== "" && inputs[i] === undefined);
    if (missing !== undefined) throw new Error(`${node.op} takes ${missing}, which nothing has computed`);
    for (const [i, output] of run(node, inputs, rounds).entries())
      if (node.outputs[i]) values.set(node.outputs[i], output);
  }
  return values;
}

function run(node: Node, inputs: readonly (Dense | undefined)[], rounds: boolean): readonly Dense[] {
  const own = (rounds ? undefined : WITHOUT_ROUNDING[node.op]) ?? OWN[node.op];
  const isOther = node.op === "Pad" && stringOf(node.attributes, "mode", "constant") !== "constant";
  if (own === undefined || (Object.hasOwn(EVALUATORS, node.op) && !isOther)) return evaluateNode(node, inputs, 23);
  return own({ node, inputs, input: (i: number) => inputs[i]!, opset: 23 } as Parameters<Evaluator>[0]);
}

const count = (dims: readonly number[]) => dims.reduce((product, dim) => product * dim, 1);

/** The coordinates of each element, in order. */
function coordinates(dims: readonly number[]): number[][] {
  return Array.from({ length: count(dims) }, (_, flat) => {
    let rest = flat;
    const at: number[] = [];
    for (const dim of dims.toReversed()) {
      at.unshift(rest % dim);
      rest = Math.floor(rest / dim);
    }
    return at;
  });
}

function flatOf(at: readonly number[], dims: readonly number[]): number {
  return at.reduce((flat, index, axis) => flat * dims[axis]! + index, 0);
}

/** y[at] = x[from(at)] */
function moved(x: Dense, dims: readonly number[], from: (at: number[]) => number[]): readonly Dense[] {
  return [
    dense(
      x.dtype,
      dims,
      coordinates(dims).map((at) => x.data[flatOf(from(at), x.dims)]!),
    ),
  ];
}

function perIndex(vector: Dense | undefined, dims: readonly number[], axis: number): (at: readonly number[]) => number {
  if (vector === undefined) return () => 0;
  const along = axis < 0 ? axis + dims.length : axis;
  return (at) => vector.data[vector.data.length === 1 ? 0 : at[along]!]!;
}

function integerProduct(a: Dense, b: Dense, aZero: Dense | undefined, bZero: Dense | undefined): number[] {
  const inner = a.dims.at(-1)!;
  const columns = b.dims[1]!;
  return Array.from({ length: (a.data.length / inner) * columns }, (_, flat) => {
    const [row, column] = [Math.floor(flat / columns), flat % columns];
    let sum = 0;
    for (let k = 0; k < inner; k++) {
      const left = a.data[row * inner + k]! - (aZero?.data[0] ?? 0);
      sum += left * (b.data[k * columns + column]! - (bZero?.data[bZero.data.length === 1 ? 0 : column] ?? 0));
    }
    return sum;
  });
}

/** Windows of one-dimensional pooling over the last axis, enough to check the rule. */
function pooled(x: Dense, kernel: number, stride: number): { dims: number[]; best: number[] } {
  const size = x.dims.at(-1)!;
  const dims = [...x.dims.slice(0, -1), Math.floor((size - kernel) / stride) + 1];
  const best = coordinates(dims).map((at) => {
    const first = flatOf([...at.slice(0, -1), at.at(-1)! * stride], x.dims);
    const window = Array.from({ length: kernel }, (_, i) => first + i);
    return window.reduce((top, i) => (x.data[i]! > x.data[top]! ? i : top));
  });
  return { dims, best };
}

const OWN: { readonly [op: string]: Evaluator } = {
  ...RESAMPLING,
  BatchNormalization: ({ node, inputs }) => {
    const [x, ...rest] = inputs as Dense[];
    const [scale, bias, mean, variance] = rest.map((each) => perIndex(each, x!.dims, 1));
    const epsilon = floatOf(node.attributes, "epsilon", 1e-5);
    const value = (at: number[], i: number) =>
      ((x!.data[i]! - mean!(at)) / Math.sqrt(variance!(at) + epsilon)) * scale!(at) + bias!(at);
    return [dense(x!.dtype, x!.dims, coordinates(x!.dims).map(value))];
  },
  CenterCropPad: ({ input }) => {
    const [x, target] = [input(0), [...input(1).data]];
    const starts = x.dims.map((dim, axis) => Math.floor((dim - target[axis]!) / 2));
    return moved(x, target, (at) => at.map((index, axis) => index + starts[axis]!));
  },
  Compress: ({ node, input }) => {
    const x = input(0);
    const axis = intOf(node.attributes, "axis", 0);
    const kept = [...input(1).data].flatMap((keep, i) => (keep ? [i] : []));
    const dims = x.dims.map((dim, i) => (i === axis ? kept.length : dim));
    return moved(x, dims, (at) => at.map((index, i) => (i === axis ? kept[index]! : index)));
  },
  ConvTranspose: ({ node, input }) => {
    const [x, w] = [input(0), input(1)];
    const [batch = 0, channels = 0, ...sizes] = x.dims;
    const [, out = 0, ...kernel] = w.dims;
    const list = (name: string, byDefault: number, length = sizes.length) =>
      intsOf(node.attributes, name) ?? Array.from({ length }, () => byDefault);
    const [strides, dilations, pads] = [list("strides", 1), list("dilations", 1), list("pads", 0, 2 * sizes.length)];
    const group = intOf(node.attributes, "group", 1);
    const extents = sizes.map((size, k) => {
      const spread = strides[k]! * (size - 1) + (kernel[k]! - 1) * dilations[k]! + 1;
      return spread - pads[k]! - pads[k + sizes.length]!;
    });
    const dims = [batch, out * group, ...extents];
    const data = new Float64Array(count(dims));
    for (const [n = 0, c = 0, ...from] of coordinates(x.dims)) {
      for (const [o = 0, ...offset] of coordinates([out, ...kernel])) {
        const to = from.map((index, k) => index * strides[k]! + offset[k]! * dilations[k]! - pads[k]!);
        if (to.some((index, k) => index < 0 || index >= extents[k]!)) continue;
        const at = flatOf([n, Math.floor(c / (channels / group)) * out + o, ...to], dims);
        data[at]! += x.data[flatOf([n, c, ...from], x.dims)]! * w.data[flatOf([c, o, ...offset], w.dims)]!;
      }
    }
    const bias = perIndex(input(2), dims, 1);
    return [
      dense(
        x.dtype,
        dims,
        coordinates(dims).map((at, i) => data[i]! + bias(at)),
      ),
    ];
  },
  DepthToSpace: ({ node, input }) => {
    const x = input(0);
    const block = intOf(node.attributes, "blocksize", 1);
    const isColumnFirst = stringOf(node.attributes, "mode", "DCR") === "CRD";
    const [batch = 0, channels = 0, height = 0, width = 0] = x.dims;
    const out = channels / block ** 2;
    return moved(x, [batch, out, height * block, width * block], ([n = 0, c = 0, i = 0, j = 0]) => {
      const inner = (i % block) * block + (j % block);
      const channel = isColumnFirst ? c * block ** 2 + inner : inner * out + c;
      return [n, channel, Math.floor(i / block), Math.floor(j / block)];
    });
  },
  DequantizeLinear: ({ node, inputs, input }) => {
    const [q, scale, zero] = [input(0), input(1), inputs[2]];
    const axis = intOf(node.attributes, "axis", 1);
    const [s, z] = [perIndex(scale, q.dims, axis), perIndex(zero, q.dims, axis)];
    return [
      dense(
        scale.dtype,
        q.dims,
        coordinates(q.dims).map((at, i) => (q.data[i]! - z(at)) * s(at)),
      ),
    ];
  },
  Dropout: ({ input }) => [input(0)],
  DynamicQuantizeLinear: ({ input }) => {
    const x = input(0);
    const [low, high] = [Math.min(0, ...x.data), Math.max(0, ...x.data)];
    const scale = (high - low) / 255;
    const zero = roundToEven(-low / scale);
    const codes = x.data.map((value) => Math.min(255, Math.max(0, roundToEven(value / scale) + zero)));
    return [dense("uint8", x.dims, codes), dense(x.dtype, [], [scale]), dense("uint8", [], [zero])];
  },
  GlobalAveragePool: ({ input }) => {
    const x = input(0);
    const size = count(x.dims.slice(2));
    const means = Array.from({ length: x.data.length / size }, (_, i) =>
      x.data.slice(i * size, (i + 1) * size).reduce((sum, value) => sum + value / size, 0),
    );
    return [dense(x.dtype, [...x.dims.slice(0, 2), ...x.dims.slice(2).map(() => 1)], means)];
  },
  GlobalMaxPool: ({ input }) => {
    const x = input(0);
    const size = count(x.dims.slice(2));
    const tops = Array.from({ length: x.data.length / size }, (_, i) =>
      Math.max(...x.data.slice(i * size, (i + 1) * size)),
    );
    return [dense(x.dtype, [...x.dims.slice(0, 2), ...x.dims.slice(2).map(() => 1)], tops)];
  },
  LpNormalization: ({ node, input }) => {
    const x = input(0);
    const p = intOf(node.attributes, "p", 2);
    const axis = (intOf(node.attributes, "axis", -1) + x.dims.length) % x.dims.length;
    const norms = new Map<string, number>();
    const key = (at: readonly number[]) => at.filter((_, i) => i !== axis).join();
    for (const [i, at] of coordinates(x.dims).entries()) {
      norms.set(key(at), (norms.get(key(at)) ?? 0) + Math.abs(x.data[i]!) ** p);
    }
    const norm = (at: readonly number[]) => norms.get(key(at))! ** (1 / p) || 1;
    return [
      dense(
        x.dtype,
        x.dims,
        coordinates(x.dims).map((at, i) => x.data[i]! / norm(at)),
      ),
    ];
  },
  MatMulInteger: ({ inputs, input }) => {
    const [a, b] = [input(0), input(1)];
    return [dense("int32", [...a.dims.slice(0, -1), b.dims[1]!], integerProduct(a, b, inputs[2], inputs[3]))];
  },
  MaxPool: ({ node, input }) => {
    const x = input(0);
    const { dims, best } = pooled(
      x,
      intsOf(node.attributes, "kernel_shape")![0]!,
      intsOf(node.attributes, "strides")![0]!,
    );
    return [
      dense(
        x.dtype,
        dims,
        best.map((i) => x.data[i]!),
      ),
      dense("int64", dims, best),
    ];
  },
  Pad: ({ node, input }) => {
    const [x, pads] = [input(0), [...input(1).data]];
    const rank = x.dims.length;
    const isEdge = stringOf(node.attributes, "mode", "") === "edge";
    const dims = x.dims.map((dim, axis) => dim + pads[axis]! + pads[axis + rank]!);
    const reflect = (index: number, last: number) => last - Math.abs(last - Math.abs(index));
    const clamp = (index: number, last: number) => Math.min(Math.max(index, 0), last);
    const from = isEdge ? clamp : reflect;
    return moved(x, dims, (at) => at.map((index, axis) => from(index - pads[axis]!, x.dims[axis]! - 1)));
  },
  QLinearMatMul: ({ input }) => {
    const [a, aScale, aZero, b, bScale, bZero, yScale, yZero] = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => input(i));
    const columns = b!.dims[1]!;
    const scale = (i: number) =>
      (aScale!.data[0]! * bScale!.data[bScale!.data.length === 1 ? 0 : i % columns]!) / yScale!.data[0]!;
    const codes = integerProduct(a!, b!, aZero, bZero).map((sum, i) => roundToEven(sum * scale(i)) + yZero!.data[0]!);
    return [dense("uint8", [...a!.dims.slice(0, -1), columns], codes)];
  },
  QuantizeLinear: ({ node, inputs, input }) => {
    const [x, scale, zero] = [input(0), input(1), inputs[2]];
    const axis = intOf(node.attributes, "axis", 1);
    const [s, z] = [perIndex(scale, x.dims, axis), perIndex(zero, x.dims, axis)];
    const codes = coordinates(x.dims).map((at, i) => roundToEven(x.data[i]! / s(at)) + z(at));
    return [dense(zero?.dtype ?? "uint8", x.dims, codes)];
  },
  ReverseSequence: ({ node, input }) => {
    const [x, lengths] = [input(0), input(1)];
    const [batch, time] = [intOf(node.attributes, "batch_axis", 1), intOf(node.attributes, "time_axis", 0)];
    return moved(x, x.dims, (at) =>
      at.map((index, axis) => {
        const length = lengths.data[at[batch]!]!;
        return axis === time && index < length ? length - 1 - index : index;
      }),
    );
  },
  Shrink: ({ node, input }) => {
    const x = input(0);
    const [bias, lambd] = [floatOf(node.attributes, "bias", 0), floatOf(node.attributes, "lambd", 0.5)];
    const shrunk = x.data.map((value) => (Math.abs(value) > lambd ? value - Math.sign(value) * bias : 0));
    return [dense(x.dtype, x.dims, shrunk)];
  },
  SpaceToDepth: ({ node, input }) => {
    const x = input(0);
    const block = intOf(node.attributes, "blocksize", 1);
    const [batch = 0, channels = 0, height = 0, width = 0] = x.dims;
    const dims = [batch, channels * block ** 2, height / block, width / block];
    return moved(x, dims, ([n = 0, c = 0, i = 0, j = 0]) => {
      const inner = Math.floor(c / channels);
      return [n, c % channels, i * block + Math.floor(inner / block), j * block + (inner % block)];
    });
  },
};

const WITHOUT_ROUNDING: { readonly [op: string]: Evaluator } = {
  DynamicQuantizeLinear: ({ input }) => {
    const x = input(0);
    const codes = x.data.map((value) => value * 64);
    return [dense(x.dtype, x.dims, codes), dense(x.dtype, [], [1 / 64]), dense(x.dtype, [], [0])];
  },
  QLinearMatMul: (context) => {
    const { input } = context;
    const [a, b, bScale] = [input(0), input(3), input(4)];
    const scale = (i: number) => bScale.data[bScale.data.length === 1 ? 0 : i % b.dims[1]!]!;
    const real = integerProduct(a, b, input(2), input(5)).map((sum, i) => sum * input(1).data[0]! * scale(i));
    return [
      dense(
        "float64",
        [...a.dims.slice(0, -1), b.dims[1]!],
        real.map((value) => value / input(6).data[0]!),
      ),
    ];
  },
  QuantizeLinear: ({ node, input }) => {
    const x = input(0);
    const scale = perIndex(input(1), x.dims, intOf(node.attributes, "axis", 1));
    return [
      dense(
        x.dtype,
        x.dims,
        coordinates(x.dims).map((at, i) => x.data[i]! / scale(at)),
      ),
    ];
  },
};
