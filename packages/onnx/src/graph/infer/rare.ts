import { intOf, intsOf, stringOf } from "../attributes.js";
import { addDims, divideDims, divideExactly, multiplyDims, productOf, subtractDims } from "../dim.js";
import type { Dim, Shape } from "../ir.js";
import { dtypeOf as dtypeOfCode } from "../serde/tensor.js";
import {
  broadcastShapes,
  dtypeOf,
  frontAxis,
  hasInput,
  type Inference,
  type InferenceContext,
  intsAt,
  shapeOf,
  typed,
  unknownDim,
} from "./context.js";

/*
 * Operators that transformers seldom have. Source of all: onnx/docs/Operators.md
 */

/** The sizes that an input holds, by place; unknown ones named after the output's axes. */
function sizesAt(context: InferenceContext, input: number): readonly Dim[] | undefined {
  return context.known(input)?.data.map((size, axis) => size ?? unknownDim(context, axis));
}

/** Grids of positions, one number for each spatial axis of the given size. */
export const affineGrid: Inference = (context) => {
  const [batch, , ...spatial] = sizesAt(context, 1) ?? [];
  return [typed(dtypeOf(context, 0), batch === undefined ? undefined : [batch, ...spatial, spatial.length])];
};

export const bitCast: Inference = (context) => [
  typed(dtypeOfCode(intOf(context.node.attributes, "to", 0)), shapeOf(context, 0)),
];

/** As many numbers as the input says. */
export const window: Inference = (context) => {
  const dtype = dtypeOfCode(intOf(context.node.attributes, "output_datatype", 1));
  return [typed(dtype, [context.known(0)?.data[0] ?? unknownDim(context, 0)])];
};

export const centerCropPad: Inference = (context) => {
  const shape = shapeOf(context, 0);
  const sizes = context.known(1)?.data;
  const axes = intsOf(context.node.attributes, "axes") ?? shape?.map((_, axis) => axis);
  const places = axes?.map((axis) => frontAxis(axis, shape?.length ?? 0));
  return [
    typed(
      dtypeOf(context, 0),
      shape?.map((size, axis) => {
        const place = places!.indexOf(axis);
        return place < 0 ? size : (sizes?.[place] ?? unknownDim(context, axis));
      }),
    ),
  ];
};

/** Blocks put back into an image. */
export const col2Im: Inference = (context) => {
  const shape = shapeOf(context, 0);
  const [image, block] = [sizesAt(context, 1), context.known(2)?.data];
  const size = block?.every((each) => each !== undefined) ? productOf(block as readonly Dim[]) : undefined;
  const isKnown = shape?.length === 3 && image !== undefined;
  const channels = isKnown && size !== undefined ? divideExactly(shape[1]!, size) : undefined;
  return [typed(dtypeOf(context, 0), isKnown ? [shape[0]!, channels ?? unknownDim(context, 1), ...image] : undefined)];
};

export const compress: Inference = (context) => {
  const shape = shapeOf(context, 0);
  if (!context.node.attributes.axis) return [typed(dtypeOf(context, 0), [unknownDim(context, 0)])];
  const axis = shape && frontAxis(intOf(context.node.attributes, "axis", 0), shape.length);
  return [typed(dtypeOf(context, 0), axis === undefined ? undefined : shape?.with(axis, unknownDim(context, axis)))];
};

/** A convolution with a memory: its input's shape, and the last k - 1 places. */
export const causalConvWithState: Inference = (context) => {
  const [x, w] = [shapeOf(context, 0), shapeOf(context, 1)];
  const length = w?.at(-1) === undefined ? undefined : subtractDims(w.at(-1)!, 1);
  const state = x && length !== undefined ? [...x.slice(0, 2), length] : undefined;
  return [context.inputs[0], typed(dtypeOf(context, 0), state)];
};

/** Windows put down at each place, or the shape that is asked for. Source: ConvTranspose */
export const convTranspose: Inference = (context) => {
  const { attributes } = context.node;
  const [x, w] = [shapeOf(context, 0), shapeOf(context, 1)];
  const dtype = dtypeOf(context, 0);
  if (x === undefined) return [typed(dtype, undefined)];
  const spatial = x.slice(2);
  const wanted = intsOf(attributes, "output_shape");
  const group = intOf(attributes, "group", 1);
  const channels = w?.[1] === undefined ? unknownDim(context, 1) : multiplyDims(w[1], group);
  const kernel = intsOf(attributes, "kernel_shape") ?? w?.slice(2);
  const sizes = spatial.map((size, axis) => {
    if (wanted !== undefined) return wanted.at(axis - spatial.length)!;
    return upsized(context, size, kernel?.[axis], axis, spatial.length) ?? unknownDim(context, axis + 2);
  });
  return [typed(dtype, [x[0]!, channels, ...sizes])];
};

function upsized(
  { node: { attributes } }: InferenceContext,
  size: Dim,
  kernel: Dim | undefined,
  axis: number,
  rank: number,
): Dim | undefined {
  const at = (name: string, place: number, byDefault: number) => intsOf(attributes, name)?.[place] ?? byDefault;
  const [stride, dilation] = [at("strides", axis, 1), at("dilations", axis, 1)];
  const mode = stringOf(attributes, "auto_pad", "NOTSET");
  if (mode.startsWith("SAME")) return multiplyDims(size, stride);
  if (kernel === undefined) return undefined;
  const reach = addDims(multiplyDims(subtractDims(kernel, 1), dilation), 1);
  const pads = mode === "VALID" ? 0 : at("pads", axis, 0) + at("pads", axis + rank, 0);
  const whole = addDims(multiplyDims(subtractDims(size, 1), stride), reach);
  return addDims(whole, at("output_padding", axis, 0) - pads);
}

export const maxUnpool: Inference = (context) => {
  const x = shapeOf(context, 0);
  const wanted = hasInput(context, 2) ? sizesAt(context, 2) : undefined;
  const kernel = intsOf(context.node.attributes, "kernel_shape") ?? [];
  const spatial = x?.slice(2) ?? [];
  const sizes = spatial.map(
    (size, axis) =>
      (hasInput(context, 2) ? undefined : upsized(context, size, kernel[axis], axis, spatial.length)) ??
      unknownDim(context, axis + 2),
  );
  return [typed(dtypeOf(context, 0), wanted ?? (x && [...x.slice(0, 2), ...sizes]))];
};

export const det: Inference = (context) => [typed(dtypeOf(context, 0), shapeOf(context, 0)?.slice(0, -2))];

export const gridSample: Inference = (context) => {
  const [x, grid] = [shapeOf(context, 0), shapeOf(context, 1)];
  return [typed(dtypeOf(context, 0), x && grid && [...x.slice(0, 2), ...grid.slice(1, -1)])];
};

export const imageDecoder: Inference = (context) => {
  const channels = stringOf(context.node.attributes, "pixel_format", "RGB") === "Grayscale" ? 1 : 3;
  return [{ dtype: "uint8", shape: [unknownDim(context, 0), unknownDim(context, 1), channels] }];
};

/** Each query's heads side by side, as wide as the values' are; and the state. */
export const linearAttention: Inference = (context) => {
  const { attributes } = context.node;
  const [query, key, value] = [0, 1, 2].map((input) => shapeOf(context, input));
  const keyHeads = intOf(attributes, "kv_num_heads", 1);
  const heads = intOf(attributes, "q_num_heads", keyHeads);
  const [keySize, size] = [key, value].map((shape) =>
    shape?.[2] === undefined ? undefined : divideExactly(shape[2], keyHeads),
  );
  const dtype = dtypeOf(context, 0);
  if (query?.length !== 3 || size === undefined || keySize === undefined)
    return [typed(dtype, undefined), context.inputs[3]];
  const output = typed(dtype, [query[0]!, query[1]!, multiplyDims(size, heads)]);
  return [output, context.inputs[3] ?? typed(dtype, [query[0]!, keyHeads, keySize, size])];
};

/** One part for each region. Source: MaxRoiPool, RoiAlign */
export const regions: Inference = (context) => {
  const { attributes } = context.node;
  const [x, rois] = [shapeOf(context, 0), shapeOf(context, 1)];
  const pooled = intsOf(attributes, "pooled_shape");
  const [height, width] = pooled ?? [intOf(attributes, "output_height", 1), intOf(attributes, "output_width", 1)];
  const [count, channels] = [rois?.[0] ?? unknownDim(context, 0), x?.[1] ?? unknownDim(context, 1)];
  return [typed(dtypeOf(context, 0), [count, channels, height!, width!])];
};

export const melWeightMatrix: Inference = (context) => {
  const [bins, length] = [0, 1].map((input) => context.known(input)?.data[0]);
  const half = length === undefined ? undefined : divideDims(length, 2);
  const dtype = dtypeOfCode(intOf(context.node.attributes, "output_datatype", 1));
  const rows = half === undefined ? unknownDim(context, 0) : addDims(half, 1);
  return [typed(dtype, [rows, bins ?? unknownDim(context, 1)])];
};

/** One loss, or one for each target; the logarithms of probabilities beside it. */
export const classLoss: Inference = (context) => {
  const isWhole = stringOf(context.node.attributes, "reduction", "mean") !== "none";
  return [typed(dtypeOf(context, 0), isWhole ? [] : shapeOf(context, 1)), context.inputs[0]];
};

/** Batch, class and box of each that is kept. */
export const nonMaxSuppression: Inference = (context) => [{ dtype: "int64", shape: [unknownDim(context, 0), 3] }];

export const stft: Inference = (context) => {
  const signal = shapeOf(context, 0);
  const [step, given] = [context.known(1)?.data[0], context.known(3)?.data[0]];
  const length = given ?? shapeOf(context, 2)?.[0];
  const isHalf = intOf(context.node.attributes, "onesided", 1) === 1;
  const half = length === undefined ? undefined : divideDims(length, 2);
  const bins = isHalf ? half && addDims(half, 1) : length;
  const isKnown = signal?.[1] !== undefined && step !== undefined && length !== undefined;
  const frames = isKnown ? divideDims(subtractDims(signal[1]!, length), step) : undefined;
  const shape: Shape = [
    signal?.[0] ?? unknownDim(context, 0),
    frames === undefined ? unknownDim(context, 1) : addDims(frames, 1),
    bins ?? unknownDim(context, 2),
    2,
  ];
  return [typed(dtypeOf(context, 0), shape)];
};

export const stringConcat: Inference = ({ inputs }) => [
  typed("string", broadcastShapes(inputs.map((input) => input?.shape))),
];

/** Texts that are left over: in a list, or in one row. */
export const stringNormalizer: Inference = (context) => {
  const rank = shapeOf(context, 0)?.length;
  return [typed("string", rank === 2 ? [1, unknownDim(context, 1)] : [unknownDim(context, 0)])];
};

export const stringSplit: Inference = (context) => {
  const shape = shapeOf(context, 0);
  return [typed("string", shape && [...shape, unknownDim(context, shape.length)]), typed("int64", shape)];
};

export const tfIdf: Inference = (context) => {
  const indices = intsOf(context.node.attributes, "ngram_indexes") ?? [];
  const shape = shapeOf(context, 0);
  return [typed("float32", shape && [...shape.slice(0, -1), 1 + Math.max(-1, ...indices)])];
};

/** What occurs, where first, where what is, and how often. */
export const unique: Inference = (context) => {
  const shape = shapeOf(context, 0);
  const given = context.node.attributes.axis;
  const axis = given && shape && frontAxis(intOf(context.node.attributes, "axis", 0), shape.length);
  const count = unknownDim(context, axis ?? 0);
  const found = given === undefined ? [count] : axis === undefined ? undefined : shape?.with(axis, count);
  const all = given === undefined ? shape && productOf(shape) : axis === undefined ? undefined : shape?.[axis];
  const inverse: Shape = [all ?? unknownDim(context, 0, 2)];
  return [
    ...[typed(dtypeOf(context, 0), found), typed("int64", [count])],
    ...[typed("int64", inverse), typed("int64", [count])],
  ];
};

/** Sizes times constant scales, rounded down; or the sizes that are asked for. Source: Resize, Upsample */
export function resized(scalesAt: number, sizesInput?: number): Inference {
  return (context) => {
    const { attributes } = context.node;
    const shape = shapeOf(context, 0);
    const axes = intsOf(attributes, "axes") ?? shape?.map((_, axis) => axis);
    const places = axes?.map((axis) => frontAxis(axis, shape?.length ?? 0));
    const sizes = sizesInput === undefined ? undefined : context.known(sizesInput)?.data;
    const given = attributes.scales?.kind === "floats" ? attributes.scales.value : undefined;
    const scales = given ?? context.numbers(scalesAt);
    const isStretched = stringOf(attributes, "keep_aspect_ratio_policy", "stretch") === "stretch";
    return [
      typed(
        dtypeOf(context, 0),
        shape?.map((size, axis) => {
          const place = places!.indexOf(axis);
          if (place < 0) return size;
          const wanted = isStretched ? (sizes?.[place] ?? scaledSize(size, scales?.[place])) : undefined;
          return wanted ?? unknownDim(context, axis);
        }),
      ),
    ];
  };
}

function scaledSize(size: Dim, scale: number | undefined): Dim | undefined {
  if (scale === undefined) return undefined;
  if (Number.isInteger(scale)) return multiplyDims(size, scale);
  return typeof size === "number" ? Math.floor(size * Math.fround(scale)) : undefined;
}

/** The spectrum along an axis: half of it, or of another length. Source: DFT */
export const dft: Inference = (context) => {
  const shape = shapeOf(context, 0);
  if (shape === undefined) return [typed(dtypeOf(context, 0), undefined)];
  const { attributes } = context.node;
  const given =
    context.opset < 20 ? intOf(attributes, "axis", 1) : hasInput(context, 2) ? intsAt(context, 2, "")?.[0] : -2;
  const axis = given === undefined ? undefined : frontAxis(given, shape.length);
  const isHalf = intOf(attributes, "onesided", 0) === 1;
  const isInverse = intOf(attributes, "inverse", 0) === 1;
  if (axis === undefined) {
    const isWhole = !hasInput(context, 1) && !isHalf;
    return [
      typed(dtypeOf(context, 0), shape.map((size, each) => (isWhole ? size : unknownDim(context, each))).with(-1, 2)),
    ];
  }
  const length = hasInput(context, 1) ? context.known(1)?.data[0] : shape[axis];
  const half = length === undefined ? undefined : divideDims(length, 2);
  const size = isHalf && !isInverse ? half && addDims(half, 1) : isHalf ? undefined : length;
  return [
    typed(
      dtypeOf(context, 0),
      shape.with(axis, size ?? unknownDim(context, axis)).with(-1, isHalf && isInverse ? 1 : 2),
    ),
  ];
};
