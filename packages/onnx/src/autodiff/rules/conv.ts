import { intOf, intsOf, stringOf } from "../../graph/attributes.js";
import { unsupported } from "../../graph/unsupported.js";
import { padAll, reshapeLike, scalarLike, shapeOf, shapePart } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/** Strides, dilations and the padding before, by spatial dimension. */
interface Window {
  readonly rank: number;
  readonly group: number;
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly before: readonly number[];
}

function windowOf(context: VjpContext): Window {
  const { node } = context;
  const auto = stringOf(node.attributes, "auto_pad", "NOTSET");
  if (auto !== "NOTSET" && auto !== "VALID") throw unsupported(node, `no rule for auto_pad ${auto}`);
  const known = node.inputs.map((input) => shapeOf(context, input)?.length).find((length) => length !== undefined);
  const rank = intsOf(node.attributes, "kernel_shape")?.length ?? (known === undefined ? known : known - 2);
  if (rank === undefined) throw unsupported(node, "the rank of its inputs is unknown");
  const ones = Array.from({ length: rank }, () => 1);
  return {
    rank,
    group: intOf(node.attributes, "group", 1),
    strides: intsOf(node.attributes, "strides") ?? ones,
    dilations: intsOf(node.attributes, "dilations") ?? ones,
    before: (intsOf(node.attributes, "pads") ?? ones.map(() => 0)).slice(0, rank),
  };
}

/** dX is the transposed convolution of g, cut or filled with zeros to X's size; dW correlates X with g. */
export const conv: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [, , bias] = node.inputs;
  const window = windowOf(context);
  const axes = builder.ints(0, ...Array.from({ length: window.rank }, (_, i) => i + 2));
  return [
    context.wanted(0) ? dInput(context, window) : undefined,
    context.wanted(1) ? dWeight(context, window) : undefined,
    bias && context.wanted(2) ? builder.op("ReduceSum", [gradients[0]!, axes], { keepdims: 0 }) : undefined,
  ];
};

function dInput(context: VjpContext, { strides, dilations, group, before }: Window): string {
  const { node, builder, gradients } = context;
  const [x = "", w = ""] = node.inputs;
  const full = builder.op("ConvTranspose", [gradients[0]!, w], { strides, dilations, group });
  return fit(context, full, shapePart(context, x, 2), before);
}

/** The part of a tensor from `before` on, of the given spatial sizes; zeros where it ends before that. */
function fit(context: VjpContext, value: string, sizes: string, before: readonly number[]): string {
  const { builder } = context;
  const start = builder.ints(...before.map((size) => -size));
  const stop = builder.op("Add", [
    builder.op("Sub", [sizes, builder.op("Shape", [value], { start: 2 })]),
    builder.ints(...before),
  ]);
  const kept = builder.ints(0, 0);
  return padAll(context, value, builder.op("Concat", [kept, start, kept, stop], { axis: 0 }));
}

/** X as [in, batch, …] convolved with g as kernels [out, batch, …], strides and dilations exchanged. */
function dWeight(context: VjpContext, { strides, dilations, group, before, rank }: Window): string {
  const { node, builder, gradients } = context;
  if (group !== 1) throw unsupported(node, "no rule for the weight of a grouped convolution");
  const [x = "", w = ""] = node.inputs;
  const perm = [1, 0, ...Array.from({ length: rank }, (_, i) => i + 2)];
  const swap = (value: string) => builder.op("Transpose", [value], { perm });
  const pads = [...before, ...(intsOf(node.attributes, "pads")?.slice(rank) ?? before)];
  const attributes = { strides: dilations, dilations: strides, pads };
  const product = swap(builder.op("Conv", [swap(x), swap(gradients[0]!)], attributes));
  return fit(
    context,
    product,
    shapePart(context, w, 2),
    before.map(() => 0),
  );
}

/** The convolution that it transposes, for its input alone. */
export const convTranspose: Vjp = (context) => {
  const { node, builder, gradients } = context;
  if (context.wanted(1)) throw unsupported(node, "no rule for its weight");
  const { strides, dilations, group, before, rank } = windowOf(context);
  if (node.attributes.output_shape) throw unsupported(node, "no rule for output_shape");
  const pads = intsOf(node.attributes, "pads") ?? [...before, ...before];
  const full = builder.op("Conv", [gradients[0]!, node.inputs[1]!], { strides, dilations, group, pads });
  const axes = builder.ints(0, ...Array.from({ length: rank }, (_, i) => i + 2));
  return [
    context.wanted(0)
      ? fit(
          context,
          full,
          shapePart(context, node.inputs[0]!, 2),
          before.map(() => 0),
        )
      : undefined,
    undefined,
    node.inputs[2] && context.wanted(2) ? builder.op("ReduceSum", [gradients[0]!, axes], { keepdims: 0 }) : undefined,
  ];
};

/** Each element's share of the windows that it is in: a transposed convolution with ones, channel by channel. */
export const averagePool: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const x = node.inputs[0]!;
  const { strides, dilations, before } = windowOf(context);
  const kernel = intsOf(node.attributes, "kernel_shape") ?? [];
  const ones = builder.op("Expand", [scalarLike(context, 1, x), builder.ints(1, 1, ...kernel)]);
  const shares = builder.op("Mul", [gradients[0]!, shareOfWindow(context, ones, kernel)]);
  const apart = builder.op("Reshape", [shares, oneChannel(context, shares, -1)]);
  const full = builder.op("ConvTranspose", [apart, ones], { strides, dilations });
  return [reshapeLike(context, fit(context, full, shapePart(context, x, 2), before), x)];
};

/** What a window of AveragePool weighs each of its elements with: by how many are inside, where not all windows are whole. */
function shareOfWindow(context: VjpContext, ones: string, kernel: readonly number[]): string {
  const { node, builder } = context;
  const x = node.inputs[0]!;
  const { strides, dilations, before, rank } = windowOf(context);
  const size = kernel.reduce((product, dim) => product * dim, 1);
  const pads = intsOf(node.attributes, "pads") ?? [...before, ...before];
  const isPadded = pads.some((pad) => pad !== 0);
  const isCeiled = intOf(node.attributes, "ceil_mode", 0) === 1;
  if (!isPadded && !isCeiled) return scalarLike(context, 1 / size, x);
  const skips = kernel.some((width, axis) => width < strides[axis]!);
  if (isCeiled && (isPadded || skips)) throw unsupported(node, "no rule for ceil_mode with pads or gaps");
  const inside = builder.op("Expand", [scalarLike(context, 1, x), oneChannel(context, x, 1)]);
  const grown = pads.map((pad, i) => (isCeiled && i >= rank ? pad + strides[i - rank]! - 1 : pad));
  const count = builder.op("Conv", [inside, ones], { strides, dilations, pads: grown });
  return builder.op("Div", [builder.op("AveragePool", [inside], node.attributes), count]);
}

/** The shape [rows, 1, …] with the spatial sizes of a value. */
function oneChannel(context: VjpContext, value: string, rows: number): string {
  const { builder } = context;
  return builder.op("Concat", [builder.ints(rows, 1), shapePart(context, value, 2)], { axis: 0 });
}
