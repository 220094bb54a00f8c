import { intOf, intsOf } from "../attributes.js";
import { divideExactly, maxDim, multiplyDims } from "../dim.js";
import type { Dim, Shape } from "../ir.js";
import {
  broadcastShapes,
  dtypeOf,
  frontAxis,
  hasInput,
  type Inference,
  shapeOf,
  sumDims,
  typed,
  unknownDim,
} from "./context.js";
import { matMulShape } from "./matrix.js";

/** Attention with its heads side by side in the last axis. Source: onnxruntime, ContribOperators.md, GroupQueryAttention */
export const groupQueryAttention: Inference = (context) => {
  const { attributes } = context.node;
  const query = shapeOf(context, 0);
  const heads = intOf(attributes, "num_heads", 1);
  const keyHeads = intOf(attributes, "kv_num_heads", heads);
  const width = query?.[2];
  const isPacked = !hasInput(context, 1);
  const size = width === undefined ? undefined : divideExactly(width, isPacked ? heads + 2 * keyHeads : heads);
  const output = query && size !== undefined ? [query[0]!, query[1]!, multiplyDims(size, heads)] : undefined;
  const cache = shapeOf(context, 3);
  const total = context.known(6)?.data[0];
  const past = cache?.[2];
  const length = total === undefined || past === undefined ? unknownDim(context, 2, 1) : maxDim(past, total);
  const present = query && size !== undefined ? [query[0]!, keyHeads, length, size] : cache?.with(2, length);
  const dtype = dtypeOf(context, 0);
  return [
    typed(dtype, output),
    typed(dtypeOf(context, 3) ?? dtype, present),
    typed(dtypeOf(context, 4) ?? dtype, present),
  ];
};

/** Source: onnxruntime, ContribOperators.md, MultiHeadAttention */
export const multiHeadAttention: Inference = (context) => {
  const heads = intOf(context.node.attributes, "num_heads", 1);
  const [query, key, value] = [0, 1, 2].map((input) => shapeOf(context, input));
  const dtype = dtypeOf(context, 0);
  const [batch, length] = [query?.[0], query?.[1]];
  if (batch === undefined || length === undefined) return [typed(dtype, undefined)];
  const width = valueWidth(query!, key, value, hasInput(context, 1));
  const output = width === undefined ? undefined : [batch, length, width];
  const size = width === undefined ? undefined : divideExactly(width, heads);
  const keys = value?.length === 4 ? value[2] : (key?.[1] ?? length);
  const past = shapeOf(context, 6)?.[2] ?? 0;
  const total = keys === undefined ? unknownDim(context, 2, 1) : sumDims([past, keys]);
  const present = size === undefined ? undefined : [batch, heads, total, size];
  return [typed(dtype, output), typed(dtype, present), typed(dtype, present)];
};

function valueWidth(query: Shape, key: Shape | undefined, value: Shape | undefined, hasKey: boolean): Dim | undefined {
  if (value?.length === 4) return multiplyDims(value[1]!, value[3]!);
  if (value !== undefined) return value[2];
  if (!hasKey) return query.length === 5 ? multiplyDims(query[2]!, query[4]!) : undefined;
  return key?.length === 5 ? multiplyDims(key[2]!, key[4]!) : undefined;
}

/** Source: onnxruntime, ContribOperators.md, Attention and QAttention */
export const attention: Inference = (context) => {
  const { attributes } = context.node;
  const [input, weights] = [shapeOf(context, 0), shapeOf(context, 1)];
  const dtype = dtypeOf(context, 0) === "float16" ? "float16" : "float32";
  const widths = weights?.[1];
  const width =
    intsOf(attributes, "qkv_hidden_sizes")?.[2] ?? (widths === undefined ? undefined : divideExactly(widths, 3));
  if (input === undefined || width === undefined) return [typed(dtype, undefined)];
  const heads = intOf(attributes, "num_heads", 1);
  const size = divideExactly(width, heads);
  const total = hasInput(context, 4) ? unknownDim(context, 3, 1) : input[1]!;
  const present = size === undefined ? undefined : [2, input[0]!, heads, total, size];
  return [typed(dtype, [input[0]!, input[1]!, width]), typed(dtype, present)];
};

/** The standard operator, on three or four axes. Source: onnx/docs/Operators.md, Attention-23 */
export const standardAttention: Inference = (context) => {
  const { attributes } = context.node;
  const [query, key, value] = [0, 1, 2].map((input) => shapeOf(context, input));
  const dtype = dtypeOf(context, 0);
  const valueType = dtypeOf(context, 2);
  if (query === undefined || key === undefined || value === undefined) return [typed(dtype, undefined)];
  const isFlat = query.length === 3;
  const heads = isFlat ? intOf(attributes, "q_num_heads", 1) : query[1]!;
  const keyHeads = isFlat ? intOf(attributes, "kv_num_heads", 1) : key[1]!;
  const sizeOf = (shape: Shape) => (isFlat ? divideExactly(shape[2]!, keyHeads) : shape[3]);
  const [keySize, valueSize] = [sizeOf(key), sizeOf(value)];
  if (keySize === undefined || valueSize === undefined) return [typed(dtype, undefined)];
  const batch = query[0]!;
  const length = isFlat ? query[1]! : query[2]!;
  const total = sumDims([shapeOf(context, 4)?.[2] ?? 0, isFlat ? key[1]! : key[2]!]);
  const output = isFlat ? [batch, length, multiplyDims(heads, valueSize)] : [batch, heads, length, valueSize];
  return [
    typed(dtype, output),
    typed(dtypeOf(context, 1), [batch, keyHeads, total, keySize]),
    typed(valueType, [batch, keyHeads, total, valueSize]),
    typed(dtype, [batch, heads, length, total]),
  ];
};

/** A weight of N rows, packed. @see onnxruntime, ContribOperators.md, MatMulNBits */
export const matMulNBits: Inference = (context) => {
  const shape = shapeOf(context, 0);
  return [typed(dtypeOf(context, 0), shape && [...shape.slice(0, -1), intOf(context.node.attributes, "N", 0)])];
};

/** Source: onnxruntime, ContribOperators.md, GatherBlockQuantized; uint8 holds 8 / bits elements a byte in the last axis. */
export const gatherBlockQuantized: Inference = (context) => {
  const { attributes } = context.node;
  const [data, indices] = [shapeOf(context, 0), shapeOf(context, 1)];
  const axis = data && frontAxis(intOf(attributes, "gather_axis", 0), data.length);
  if (data === undefined || indices === undefined || axis === undefined) return [typed(dtypeOf(context, 2), undefined)];
  const perByte = dtypeOf(context, 0) === "uint8" ? 8 / intOf(attributes, "bits", 4) : 1;
  const unpacked = data.with(-1, multiplyDims(data.at(-1)!, perByte));
  return [typed(dtypeOf(context, 2), unpacked.toSpliced(axis, 1, ...indices))];
};

/** The normalised sum, its statistics, and the sum itself. */
export const skipNormalization: Inference = (context) => {
  const statistics = shapeOf(context, 0)?.with(-1, 1);
  return [context.inputs[0], typed("float32", statistics), typed("float32", statistics), context.inputs[0]];
};

/** Embedded tokens, the index of the mask, and the sum of embeddings. */
export const embedLayerNormalization: Inference = (context) => {
  const [ids, words] = [shapeOf(context, 0), shapeOf(context, 2)];
  const isKnown = ids?.[0] !== undefined && ids[1] !== undefined && words?.[1] !== undefined;
  const type = typed(dtypeOf(context, 2), isKnown ? [ids[0]!, ids[1]!, words[1]!] : undefined);
  return [type, typed("int32", [ids?.[0] ?? unknownDim(context, 0, 1)]), type];
};

/** A product of matrices with the last two axes of either factor exchanged where an attribute says so. */
export const fusedMatMul: Inference = (context) => {
  const { attributes } = context.node;
  const turned = (input: number, flag: string, batchFlag: string) => {
    const shape = shapeOf(context, input);
    if (shape === undefined || shape.length < 2) return shape;
    const batched = intOf(attributes, batchFlag, 0) === 1 ? [...shape.slice(1, -1), shape[0]!, shape.at(-1)!] : shape;
    return intOf(attributes, flag, 0) === 1 ? [...batched.slice(0, -2), batched.at(-1)!, batched.at(-2)!] : batched;
  };
  const [a, b] = [turned(0, "transA", "transBatchA"), turned(1, "transB", "transBatchB")];
  return [typed(dtypeOf(context, 0), matMulShape(a, b))];
};

/** An integer operator whose inputs come in threes: elements, scale, zero point. */
export const quantizedBroadcast: Inference = (context) => [
  typed(dtypeOf(context, 0), broadcastShapes([shapeOf(context, 0), shapeOf(context, 3)])),
];

/** A B + C on codes: int8 with a scale of the result, else floats. Source: onnxruntime, ContribOperators.md, QGemm */
export const qGemm: Inference = (context) => {
  const { attributes } = context.node;
  const [a, b] = [shapeOf(context, 0), shapeOf(context, 3)];
  const rows = a?.[intOf(attributes, "transA", 0) === 1 ? 1 : 0] ?? unknownDim(context, 0);
  const columns = b?.[intOf(attributes, "transB", 0) === 1 ? 0 : 1] ?? unknownDim(context, 1);
  return [typed(hasInput(context, 7) ? dtypeOf(context, 0) : "float32", [rows, columns])];
};
