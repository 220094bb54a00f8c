import { intOf } from "../attributes.js";
import type { DType } from "../ir.js";
import { dtypeOf as dtypeOfCode } from "../serde/tensor.js";
import { broadcastShapes, dtypeOf, type Inference, shapeOf, typed } from "./context.js";

/** The type of the first input. */
export const same: Inference = ({ inputs }) => [inputs[0]];

/** The shape of the first input. */
export function sameShape(dtype: DType): Inference {
  return (context) => [typed(dtype, shapeOf(context, 0))];
}

/** All inputs broadcast together. @param dtype the first known one of the inputs by default */
export function broadcast(dtype?: DType): Inference {
  return ({ inputs }) => {
    const shape = broadcastShapes(inputs.map((input) => input?.shape));
    return [typed(dtype ?? inputs.find((input) => input !== undefined)?.dtype, shape)];
  };
}

/** As `broadcast`, for operators whose further inputs hold no elements of their own. */
export const where: Inference = (context) => [
  typed(dtypeOf(context, 1) ?? dtypeOf(context, 2), broadcastShapes([0, 1, 2].map((input) => shapeOf(context, input)))),
];

export const cast: Inference = (context) => {
  const code = intOf(context.node.attributes, "to", 0);
  return [typed(dtypeOfCode(code) ?? dtypeOf(context, 1), shapeOf(context, 0))];
};

/** Results of the first input's shape; the element type is an attribute, or the first input's. */
export function withDtype(attribute: string, byDefault?: DType): Inference {
  return (context) => [
    typed(
      dtypeOfCode(intOf(context.node.attributes, attribute, 0)) ?? byDefault ?? dtypeOf(context, 0),
      shapeOf(context, 0),
    ),
  ];
}

/** The first input, and a mask. */
export const dropout: Inference = (context) => [
  context.inputs[0],
  typed(context.opset < 10 ? dtypeOf(context, 0) : "bool", shapeOf(context, 0)),
];

/** The element type of the zero point, or what the attribute says, or bytes. */
export const quantizeLinear: Inference = (context) => {
  const given = dtypeOfCode(intOf(context.node.attributes, "output_dtype", 0));
  return [typed(dtypeOf(context, 2) ?? given ?? "uint8", shapeOf(context, 0))];
};

export const dequantizeLinear: Inference = (context) => {
  const given = dtypeOfCode(intOf(context.node.attributes, "output_dtype", 0));
  return [typed(given ?? dtypeOf(context, 1), shapeOf(context, 0))];
};

export const dynamicQuantizeLinear: Inference = (context) => [
  typed("uint8", shapeOf(context, 0)),
  { dtype: "float32", shape: [] },
  { dtype: "uint8", shape: [] },
];
