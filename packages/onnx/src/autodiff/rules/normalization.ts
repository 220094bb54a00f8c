import { floatOf, intOf } from "../../graph/attributes.js";
import { unsupported } from "../../graph/unsupported.js";
import { dtypeOf, rangeTo, rankOf, scalarLike, shapeOf, toScalar, unbroadcast } from "../emit.js";
import type { Vjp, VjpContext } from "../vjp.js";

/** The normalised input and 1/sigma, however the node is asked for them. */
interface Normalized {
  readonly xHat: string;
  readonly inverse: string;
}

/**
 * With s = g * scale: dx = (s - mean(s) - xHat mean(s xHat)) / sigma, without mean(s) where the input is not centred;
 * dScale = g xHat and dBias = g, summed over what they are repeated along.
 */
function normalization(centred: boolean, normalized: (context: VjpContext, axes: string) => Normalized): Vjp {
  return (context) => {
    const { node, builder, gradients } = context;
    const [x = "", scale, bias] = node.inputs;
    const g = gradients[0]!;
    const full = shapeOf(context, node.outputs[0]!) ? node.outputs[0]! : x;
    const axes = normalizedAxes(context);
    const mean = (value: string) => builder.op("ReduceMean", [value, axes], { keepdims: 1 });
    const { xHat, inverse } = normalized(context, axes);
    const dx = () => {
      const s = scale ? builder.op("Mul", [g, scale]) : g;
      const slope = builder.op("Mul", [xHat, mean(builder.op("Mul", [s, xHat]))]);
      const centredS = centred ? builder.op("Sub", [s, mean(s)]) : s;
      return builder.op("Mul", [builder.op("Sub", [centredS, slope]), inverse]);
    };
    return [
      context.wanted(0) ? dx() : undefined,
      scale && context.wanted(1) ? unbroadcast(context, builder.op("Mul", [g, xHat]), scale, full) : undefined,
      bias && context.wanted(2) ? unbroadcast(context, g, bias, full) : undefined,
    ];
  };
}

/** The axes from the node's first normalised one to the last. */
function normalizedAxes(context: VjpContext): string {
  const { node, builder } = context;
  const x = node.inputs[0]!;
  const axis = intOf(node.attributes, "axis", -1);
  if (axis < 0) return builder.ints(...Array.from({ length: -axis }, (_, i) => axis + i));
  const rank = shapeOf(context, x)?.length;
  if (rank !== undefined) return builder.ints(...Array.from({ length: rank - axis }, (_, i) => axis + i));
  const count = builder.op("Sub", [toScalar(context, rankOf(context, x)), builder.constant("int64", [axis], [])]);
  return builder.op("Add", [rangeTo(context, count), builder.constant("int64", [axis], [])]);
}

/** From the square of what is normalised: 1/sqrt(mean(square) + epsilon). */
function inverseDeviation(context: VjpContext, centred: string, axes: string): string {
  const { node, builder } = context;
  const epsilon = scalarLike(context, floatOf(node.attributes, "epsilon", 1e-5), node.inputs[0]!);
  const square = builder.op("Mul", [centred, centred]);
  const variance = builder.op("ReduceMean", [square, axes], { keepdims: 1 });
  return builder.op("Reciprocal", [builder.op("Sqrt", [builder.op("Add", [variance, epsilon])])]);
}

/** The mean and 1/sigma are the node's own second and third outputs, which exist in float32 only. */
export const layerNormalization = normalization(true, (context, axes) => {
  const { node, builder } = context;
  const x = node.inputs[0]!;
  const saved = dtypeOf(context, x) === "float32";
  const mean = saved ? context.output(1) : builder.op("ReduceMean", [x, axes], { keepdims: 1 });
  const centred = builder.op("Sub", [x, mean]);
  const inverse = saved ? context.output(2) : inverseDeviation(context, centred, axes);
  return { xHat: builder.op("Mul", [centred, inverse]), inverse };
});

export const rmsNormalization = normalization(false, (context, axes) => {
  const x = context.node.inputs[0]!;
  const inverse = inverseDeviation(context, x, axes);
  return { xHat: context.builder.op("Mul", [x, inverse]), inverse };
});

/** onnxruntime's RMS normalisation before opset 23, which hands out 1/sigma. */
export const simplifiedLayerNormalization = normalization(false, (context, axes) => {
  const x = context.node.inputs[0]!;
  const inverse = dtypeOf(context, x) === "float32" ? context.output(1) : inverseDeviation(context, x, axes);
  return { xHat: context.builder.op("Mul", [x, inverse]), inverse };
});

/** x / |x|_p along an axis, p = 1 or 2; a vector of zeros stays one, with no gradient. */
export const lpNormalization: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x, y, g] = [node.inputs[0]!, node.outputs[0]!, gradients[0]!];
  const axes = builder.ints(intOf(node.attributes, "axis", -1));
  const p = intOf(node.attributes, "p", 2);
  const norm = builder.op(p === 1 ? "ReduceL1" : "ReduceL2", [x, axes], { keepdims: 1 });
  const along = builder.op("ReduceSum", [builder.op("Mul", [g, y]), axes], { keepdims: 1 });
  const direction = p === 1 ? builder.op("Sign", [x]) : y;
  const across = builder.op("Sub", [g, builder.op("Mul", [direction, along])]);
  const isZero = builder.op("Equal", [norm, scalarLike(context, 0, x)]);
  const inverse = builder.op("Reciprocal", [builder.op("Where", [isZero, scalarLike(context, 1, x), norm])]);
  return [builder.op("Mul", [across, builder.op("Where", [isZero, scalarLike(context, 0, x), inverse])])];
};

/** With running statistics, as inference has it: dx = g scale / sqrt(var + epsilon), by channel. */
export const batchNormalization: Vjp = (context) => {
  const { node, builder, gradients } = context;
  const [x = "", scale = "", bias = "", mean = "", variance = ""] = node.inputs;
  const g = gradients[0]!;
  if (intOf(node.attributes, "training_mode", 0) === 1) throw unsupported(node, "it is in training mode");
  const rank = shapeOf(context, x)?.length;
  if (rank === undefined) throw unsupported(node, "the rank of its input is unknown");
  const epsilon = scalarLike(context, floatOf(node.attributes, "epsilon", 1e-5), x);
  const inverse = builder.op("Reciprocal", [builder.op("Sqrt", [builder.op("Add", [variance, epsilon])])]);
  const later = builder.ints(...Array.from({ length: Math.max(rank - 2, 0) }, (_, i) => i + 1));
  const column = (value: string) => (rank > 2 ? builder.op("Unsqueeze", [value, later]) : value);
  const axes = builder.ints(...Array.from({ length: rank }, (_, i) => i).filter((axis) => axis !== 1));
  const sum = (value: string) => builder.op("ReduceSum", [value, axes], { keepdims: 0 });
  const xHat = () => builder.op("Mul", [builder.op("Sub", [x, column(mean)]), column(inverse)]);
  if (context.wanted(3) || context.wanted(4)) throw unsupported(node, "its statistics depend on an adapter");
  return [
    context.wanted(0) ? builder.op("Mul", [g, column(builder.op("Mul", [scale, inverse]))]) : undefined,
    context.wanted(1) ? sum(builder.op("Mul", [g, xHat()])) : undefined,
    bias && context.wanted(2) ? sum(g) : undefined,
  ];
};
