import { intOf, intsOf, stringOf } from "../attributes.js";
import { addDims, divideDims, multiplyDims, subtractDims } from "../dim.js";
import { parseEinsum } from "../einsum.js";
import type { Attributes, Dim, DType, Shape } from "../ir.js";
import { broadcastShapes, dtypeOf, type Inference, shapeOf, typed, unknownDim } from "./context.js";

/** The shape of a product of matrices, or of stacks of them. */
export function matMulShape(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (a === undefined || b === undefined || a.length === 0 || b.length === 0) return undefined;
  const stack = broadcastShapes([a.slice(0, -2), b.slice(0, -2)]);
  const rows = a.length === 1 ? [] : [a.at(-2)!];
  const columns = b.length === 1 ? [] : [b.at(-1)!];
  return stack && [...stack, ...rows, ...columns];
}

/** @param inputs where the factors are @param dtype of the result; the first factor's by default */
export function matMul(inputs: readonly [number, number] = [0, 1], dtype?: DType): Inference {
  return (context) => {
    const [a, b] = inputs;
    return [
      typed(dtype ?? dtypeOf(context, a) ?? dtypeOf(context, b), matMulShape(shapeOf(context, a), shapeOf(context, b))),
    ];
  };
}

export const gemm: Inference = (context) => {
  const { attributes } = context.node;
  const [a, b] = [shapeOf(context, 0), shapeOf(context, 1)];
  const rows = a?.[intOf(attributes, "transA", 0) === 1 ? 1 : 0] ?? unknownDim(context, 0);
  const columns = b?.[intOf(attributes, "transB", 0) === 1 ? 0 : 1] ?? unknownDim(context, 1);
  return [typed(dtypeOf(context, 0) ?? dtypeOf(context, 1), [rows, columns])];
};

export const qLinearMatMul: Inference = (context) => [
  typed(dtypeOf(context, 7) ?? dtypeOf(context, 0), matMulShape(shapeOf(context, 0), shapeOf(context, 3))),
];

export const einsum: Inference = (context) => {
  const shapes = context.node.inputs.map((_, input) => shapeOf(context, input));
  const known = shapes.filter((shape) => shape !== undefined);
  if (known.length < shapes.length) return [typed(dtypeOf(context, 0), undefined)];
  const { terms, result } = parseEinsum(
    stringOf(context.node.attributes, "equation", ""),
    known.map((shape) => shape.length),
  );
  const sizes = new Map<string, Dim>();
  for (const [index, letters] of terms.entries()) {
    for (const [axis, letter] of letters.entries()) {
      const size = known[index]![axis] ?? 1;
      const before = sizes.get(letter) ?? 1;
      sizes.set(
        letter,
        before === 1 || (typeof before === "string" && size !== 1 && typeof size === "number") ? size : before,
      );
    }
  }
  return [
    typed(
      dtypeOf(context, 0),
      result.map((letter) => sizes.get(letter) ?? 1),
    ),
  ];
};

/** The size of a spatial axis after a window of `reach` elements has moved over it. */
function windows(size: Dim, reach: Dim, step: number, padding: Dim): Dim | undefined {
  const room = subtractDims(addDims(size, padding), reach);
  const moves = step === 1 ? room : divideDims(room, step);
  return moves === undefined ? undefined : addDims(moves, 1);
}

interface Window {
  readonly kernel: Shape;
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly mode: string;
  readonly ceil: boolean;
}

function windowOf(attributes: Attributes, kernel: Shape): Window {
  const ones = kernel.map(() => 1);
  return {
    kernel,
    strides: intsOf(attributes, "strides") ?? ones,
    dilations: intsOf(attributes, "dilations") ?? ones,
    pads: intsOf(attributes, "pads") ?? [...kernel, ...kernel].map(() => 0),
    mode: stringOf(attributes, "auto_pad", "NOTSET"),
    ceil: intOf(attributes, "ceil_mode", 0) === 1,
  };
}

function windowed(spatial: Shape, window: Window, unknown: (axis: number) => Dim): Dim[] {
  return spatial.map((size, axis) => {
    const step = window.strides[axis] ?? 1;
    if (window.mode.startsWith("SAME")) return divideDims(addDims(size, step - 1), step) ?? unknown(axis);
    const reach = addDims(multiplyDims(subtractDims(window.kernel[axis] ?? 1, 1), window.dilations[axis] ?? 1), 1);
    const padding = (window.pads[axis] ?? 0) + (window.pads[axis + spatial.length] ?? 0);
    const extra = window.ceil ? step - 1 : 0;
    return windows(size, reach, step, window.mode === "VALID" ? extra : padding + extra) ?? unknown(axis);
  });
}

/** Cross-correlation: batch and spatial axes of the input, features of the weights. @param weights where those are */
export function conv(weights = 1, dtype?: DType): Inference {
  return (context) => {
    const [x, w] = [shapeOf(context, 0), shapeOf(context, weights)];
    const result = dtype ?? dtypeOf(context, weights > 1 ? 7 : 0);
    if (x === undefined || w === undefined) return [typed(result, undefined)];
    const window = windowOf(context.node.attributes, w.slice(2));
    const spatial = windowed(x.slice(2), window, (axis) => unknownDim(context, axis + 2));
    return [typed(result, [x[0] ?? 1, w[0] ?? 1, ...spatial])];
  };
}

export const pool: Inference = (context) => {
  const x = shapeOf(context, 0);
  const kernel = intsOf(context.node.attributes, "kernel_shape");
  const spatial =
    x &&
    kernel &&
    windowed(x.slice(2), windowOf(context.node.attributes, kernel), (axis) => unknownDim(context, axis + 2));
  const shape = spatial && [...x.slice(0, 2), ...spatial];
  return [typed(dtypeOf(context, 0), shape), typed("int64", shape)];
};

export const globalPool: Inference = (context) => {
  const shape = shapeOf(context, 0)?.map((size, axis) => (axis < 2 ? size : 1));
  return [typed(dtypeOf(context, 0), shape)];
};
