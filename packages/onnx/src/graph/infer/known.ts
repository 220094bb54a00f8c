import { intOf } from "../attributes.js";
import { tensorOfConstant } from "../constants.js";
import {
  addDims,
  compareDims,
  divideDims,
  isNonNegative,
  maxDim,
  minDim,
  moduloDims,
  multiplyDims,
  productOf,
  subtractDims,
} from "../dim.js";
import { elementCount, isIntegral } from "../dtype.js";
import { type Dense, dense, fromTensor } from "../elements/dense.js";
import { broadcastDims, broadcastStrides, offsets } from "../elements/indexing.js";
import { moveElements } from "../elements/movements.js";
import type { Dim, Tensor } from "../ir.js";
import { dtypeOf as dtypeOfCode } from "../serde/tensor.js";
import { hasInput, type InferenceContext, intsAt, type KnownInts, shapeOf } from "./context.js";

/** More elements than any shape, list of axes or condition has. */
const MOST = 128;

/** The elements of a node's outputs, as far as they are known. */
type Propagation = (context: InferenceContext) => readonly (KnownInts | undefined)[];

/** The integers or booleans of a constant; undefined for floats and for many elements. */
export function knownOfTensor(tensor: Tensor | undefined): KnownInts | undefined {
  if (tensor === undefined || !isIntegral(tensor.dtype) || elementCount(tensor.dims) > MOST) return undefined;
  const value = fromTensor(tensor);
  return value && { dims: value.dims, data: [...value.data] };
}

/** The known elements as numbers, if all of them are. */
function asNumbers(known: KnownInts | undefined): Dense | undefined {
  if (!known?.data.every((each) => typeof each === "number")) return undefined;
  return dense("int64", known.dims, known.data as readonly number[]);
}

type Combine = (...operands: Dim[]) => Dim | undefined;

/** Elements of tensors that are broadcast together, combined one by one. */
function elementwise(combine: Combine): Propagation {
  return (context) => {
    const inputs = context.node.inputs.map((_, index) => context.known(index));
    if (!inputs.every((input) => input !== undefined)) return [];
    const dims = broadcastDims(...inputs.map((input) => input.dims));
    if (elementCount(dims) > MOST) return [];
    const places = inputs.map((input) => offsets(dims, broadcastStrides(input.dims, dims)));
    const data = Array.from(places[0]!, (_, index) => {
      const operands = inputs.map((input, each) => input.data[places[each]![index]!]);
      return operands.every((operand) => operand !== undefined) ? combine(...operands) : undefined;
    });
    return [{ dims, data }];
  };
}

/** An input of which only the number of elements is known: a size that was computed from data, say, beside others. */
function unknownElements(context: InferenceContext, input: number): KnownInts | undefined {
  const { dtype, shape } = context.inputs[input] ?? {};
  const dims = shape?.filter((dim) => typeof dim === "number");
  if (dtype === undefined || !isIntegral(dtype) || dims?.length !== shape?.length || dims === undefined)
    return undefined;
  const count = elementCount(dims);
  return count > MOST ? undefined : { dims, data: Array.from({ length: count }, () => undefined) };
}

/** An operator that moves elements and changes none: run on their numbers. @param moved the inputs that hold elements */
function movement(moved: (index: number) => boolean = (index) => index === 0): Propagation {
  return (context) => {
    const pool: (Dim | undefined)[] = [];
    const inputs = context.node.inputs.map((name, index) => {
      const known = name === "" ? undefined : (context.known(index) ?? unknownElements(context, index));
      if (!moved(index)) return { isThere: name === "" || asNumbers(known) !== undefined, value: asNumbers(known) };
      const first = pool.length;
      pool.push(...(known?.data ?? []));
      return {
        isThere: known !== undefined,
        value:
          known &&
          dense(
            "int64",
            known.dims,
            known.data.map((_, each) => first + each),
          ),
      };
    });
    if (!inputs.every(({ isThere }) => isThere)) return [];
    const outputs = moveElements(
      context.node,
      inputs.map(({ value }) => value),
      context.opset,
    );
    return outputs.map((output) =>
      output.data.length > MOST
        ? undefined
        : { dims: output.dims, data: Array.from(output.data, (index) => pool[index]) },
    );
  };
}

function comparison(isTrue: (order: -1 | 0 | 1) => boolean): Propagation {
  return elementwise((a, b) => {
    const order = compareDims(a!, b!);
    return order === undefined ? undefined : +isTrue(order);
  });
}

/** 0 or 1 for a condition that is known. */
function truth(value: Dim): 0 | 1 | undefined {
  if (typeof value === "number") return value === 0 ? 0 : 1;
  return compareDims(value, 0) === 1 ? 1 : undefined;
}

const shapeOfInput: Propagation = (context) => {
  const shape = shapeOf(context, 0);
  const { attributes } = context.node;
  const part = shape?.slice(intOf(attributes, "start", 0), intOf(attributes, "end", shape.length));
  return [part && { dims: [part.length], data: part }];
};

const sizeOfInput: Propagation = (context) => {
  const shape = shapeOf(context, 0);
  return [shape && { dims: [], data: [productOf(shape)] }];
};

/** Sums and products of whole vectors; of no axis, with `noop_with_empty_axes`, the vectors themselves. */
function total(combine: (a: Dim, b: Dim) => Dim, start: Dim): Propagation {
  return (context) => {
    const known = context.known(0);
    const axes = intsAt(context, 1, "axes");
    const isUncertain = hasInput(context, 1) && axes === undefined;
    if (isUncertain || known?.dims.length !== 1 || !known.data.every((each) => each !== undefined)) return [];
    const { attributes } = context.node;
    if (!axes?.length && intOf(attributes, "noop_with_empty_axes", 0) === 1) return [known];
    const keepDims = intOf(attributes, "keepdims", 1) === 1;
    return [{ dims: keepDims ? [1] : [], data: [known.data.reduce(combine, start)] }];
  };
}

const cast: Propagation = (context) => {
  const to = dtypeOfCode(intOf(context.node.attributes, "to", 0));
  const known = context.known(0);
  if (known === undefined || to === undefined || !isIntegral(to)) return [];
  return [
    to === "bool" ? { ...known, data: known.data.map((each) => (each === undefined ? each : truth(each))) } : known,
  ];
};

const constantOfShape: Propagation = (context) => {
  const dims = asNumbers(context.known(0));
  const { value } = context.node.attributes;
  const fill = value?.kind === "tensor" ? knownOfTensor(value.value) : undefined;
  if (dims === undefined || fill === undefined || elementCount([...dims.data]) > MOST) return [];
  return [{ dims: [...dims.data], data: Array.from({ length: elementCount([...dims.data]) }, () => fill.data[0]) }];
};

const where: Propagation = (context) => {
  const condition = context.known(0);
  const isDecided = condition?.data.every((each) => each !== undefined && truth(each) !== undefined);
  if (!isDecided) return [];
  return movement((index) => index > 0)(context);
};

/** A short range of numbers. */
const range: Propagation = (context) => {
  const [start, limit, delta] = [0, 1, 2].map((index) => context.known(index)?.data[0]);
  if (typeof start !== "number" || typeof limit !== "number" || typeof delta !== "number" || delta === 0) return [];
  const length = Math.max(0, Math.ceil((limit - start) / delta));
  return [
    length > MOST ? undefined : { dims: [length], data: Array.from({ length }, (_, index) => start + index * delta) },
  ];
};

/** How sizes go through the operators with which exporters compute shapes; other operators hide what they make. */
const PROPAGATIONS: { readonly [op: string]: Propagation } = {
  Abs: elementwise((a) => (isNonNegative(a!) ? a : undefined)),
  Add: elementwise((a, b) => addDims(a!, b!)),
  And: elementwise((a, b) => both(truth(a!), truth(b!))),
  Cast: cast,
  Concat: movement(() => true),
  Constant: ({ node }) => [knownOfTensor(tensorOfConstant(node))],
  ConstantOfShape: constantOfShape,
  Div: elementwise((a, b) => divideDims(a!, b!)),
  Equal: comparison((order) => order === 0),
  Expand: movement(),
  Flatten: movement(),
  Gather: movement(),
  Greater: comparison((order) => order > 0),
  GreaterOrEqual: comparison((order) => order >= 0),
  Identity: movement(),
  Less: comparison((order) => order < 0),
  LessOrEqual: comparison((order) => order <= 0),
  Max: elementwise((...all) => all.reduce(maxDim)),
  Min: elementwise((...all) => all.reduce(minDim)),
  Mod: elementwise((a, b) => moduloDims(a!, b!)),
  Mul: elementwise((a, b) => multiplyDims(a!, b!)),
  Neg: elementwise((a) => subtractDims(0, a!)),
  Not: elementwise((a) => negated(truth(a!))),
  Or: elementwise((a, b) => negated(both(negated(truth(a!)), negated(truth(b!))))),
  Range: range,
  ReduceProd: total(multiplyDims, 1),
  ReduceSum: total(addDims, 0),
  Reshape: movement(),
  Shape: shapeOfInput,
  Size: sizeOfInput,
  Slice: movement(),
  Split: movement(),
  Squeeze: movement(),
  Sub: elementwise((a, b) => subtractDims(a!, b!)),
  Tile: movement(),
  Transpose: movement(),
  Unsqueeze: movement(),
  Where: where,
};

type Truth = 0 | 1 | undefined;

function both(a: Truth, b: Truth): Truth {
  if (a === 0 || b === 0) return 0;
  return a === 1 && b === 1 ? 1 : undefined;
}

function negated(a: Truth): Truth {
  return a === undefined ? undefined : a === 1 ? 0 : 1;
}

/** The known elements of a node's outputs; none if its inputs do not fit, which the runtime will report. */
export function propagate(context: InferenceContext): readonly (KnownInts | undefined)[] {
  const { node } = context;
  const propagation = node.domain === "" && Object.hasOwn(PROPAGATIONS, node.op) ? PROPAGATIONS[node.op] : undefined;
  try {
    return propagation?.(context) ?? [];
  } catch {
    return [];
  }
}
