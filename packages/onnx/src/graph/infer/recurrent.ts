import { intOf } from "../attributes.js";
import type { Dim, Shape, TensorType } from "../ir.js";
import { dtypeOf, type Inference, type InferenceContext, shapeOf, typed, unknownDim } from "./context.js";

/** LSTM, GRU and RNN: all steps, the last one, and the cell's state. Source: onnx/docs/Operators.md, LSTM */
export const recurrent: Inference = (context) => {
  const { attributes } = context.node;
  const dtype = dtypeOf(context, 0);
  const [x, r] = [shapeOf(context, 0), shapeOf(context, 2)];
  const directions = attributes.direction?.value === "bidirectional" ? 2 : 1;
  const hidden: Dim = attributes.hidden_size ? intOf(attributes, "hidden_size", 1) : (r?.[2] ?? unknownDim(context, 3));
  const isBatchFirst = intOf(attributes, "layout", 0) === 1;
  const [steps, batch] = isBatchFirst ? [x?.[1], x?.[0]] : [x?.[0], x?.[1]];
  const [length, rows] = [steps ?? unknownDim(context, isBatchFirst ? 1 : 0), batch ?? unknownDim(context, 2)];
  const all = isBatchFirst ? [rows, length, directions, hidden] : [length, directions, rows, hidden];
  const last = typed(dtype, isBatchFirst ? [rows, directions, hidden] : [directions, rows, hidden]);
  return [typed(dtype, all), last, last];
};

/** A type without sizes that are named within a body alone, or that each turn may change. */
function settled(
  context: InferenceContext,
  output: number,
  shape: Shape | undefined,
  before?: Shape,
): Shape | undefined {
  if (shape === undefined || (before !== undefined && before.length !== shape.length)) return undefined;
  return shape.map((size, axis) => {
    const isSame = before === undefined ? !`${size}`.includes(":") : before[axis] === size;
    return isSame ? size : unknownDim(context, axis, output);
  });
}

/** Values that go round, then what each turn gives, one under another. Source: onnx/docs/Operators.md, Loop */
export const loop: Inference = (context) => {
  const count = Math.max(0, context.node.inputs.length - 2);
  const carried = context.inputs.slice(2);
  const open = carried.map((type) => type && { ...type, shape: undefined });
  const turn: readonly (TensorType | undefined)[] = [
    { dtype: "int64", shape: [] },
    { dtype: "bool", shape: [] },
  ];
  const first = context.inner("body", [...turn, ...carried]) ?? [];
  const isSteady = carried.every((type, i) => sameShape(type?.shape, first[i + 1]?.shape));
  // What changes from turn to turn has no shape inside either.
  const body = isSteady ? first : (context.inner("body", [...turn, ...open]) ?? []);
  const trips = context.known(0)?.data[0];
  const isCounted = typeof trips === "number" && !context.node.inputs[1];
  return body.slice(1).map((type, i) => {
    const output = i;
    if (i < count)
      return typed(type?.dtype ?? carried[i]?.dtype, settled(context, output, type?.shape, carried[i]?.shape));
    const shape = settled(context, output, type?.shape);
    return typed(type?.dtype, shape && [isCounted ? trips : unknownDim(context, 0, output), ...shape]);
  });
};

function sameShape(a: Shape | undefined, b: Shape | undefined): boolean {
  return a?.length === b?.length && (a ?? []).every((size, axis) => size === b?.[axis]);
}

/** States that go along a sequence, then what each step gives. Source: onnx/docs/Operators.md, Scan (opset 9) */
export const scan: Inference = (context) => {
  const { inputs, node, opset } = context;
  if (opset < 9) return node.outputs.map(() => undefined);
  const scanned = intOf(node.attributes, "num_scan_inputs", 0);
  const states = inputs.length - scanned;
  const axes = (name: string) => {
    const given = node.attributes[name];
    return given?.kind === "ints" ? given.value : [];
  };
  let length: Dim | undefined;
  const steps = inputs.slice(states).map((type, i) => {
    const shape = type?.shape;
    const axis = frontOf(axes("scan_input_axes")[i] ?? 0, shape?.length ?? 1);
    length ??= shape?.[axis];
    return type && { ...type, shape: shape?.toSpliced(axis, 1) };
  });
  const body = context.inner("body", [...inputs.slice(0, states), ...steps]) ?? [];
  return body.map((type, i) => {
    if (i < states) return typed(type?.dtype ?? inputs[i]?.dtype, settled(context, i, type?.shape, inputs[i]?.shape));
    const shape = settled(context, i, type?.shape);
    const axis = frontOf(axes("scan_output_axes")[i - states] ?? 0, (shape?.length ?? 0) + 1);
    return typed(type?.dtype, shape?.toSpliced(axis, 0, length ?? unknownDim(context, axis, i)));
  });
};

function frontOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}
