import { OnnxError } from "../../base/errors.js";
import { floatOf, intOf, stringOf } from "../../graph/attributes.js";
import { elementCount } from "../../graph/dtype.js";
import { parseEinsum } from "../../graph/einsum.js";
import type { EvaluationContext, Evaluator } from "../../graph/elements/context.js";
import { type Dense, dense } from "../../graph/elements/dense.js";
import { broadcastDims, broadcastStrides, offsets, stridesOf } from "../../graph/elements/indexing.js";
import { describe } from "../../graph/order.js";

/** The product of matrices, or of stacks of them; a vector is a row on the left and a column on the right. */
export function matMulOf(context: EvaluationContext, a: Dense, b: Dense): Dense {
  const left = a.dims.length === 1 ? [1, ...a.dims] : a.dims;
  const right = b.dims.length === 1 ? [...b.dims, 1] : b.dims;
  const [m, k, n] = [left.at(-2)!, left.at(-1)!, right.at(-1)!];
  if (right.at(-2) !== k) throw mismatch(context, [a, b]);
  const stack = broadcastDims(left.slice(0, -2), right.slice(0, -2));
  const lefts = offsets(stack, scaled(broadcastStrides(left.slice(0, -2), stack), m * k));
  const rights = offsets(stack, scaled(broadcastStrides(right.slice(0, -2), stack), k * n));
  const data = new Float64Array(elementCount(stack) * m * n);
  for (const [index, base] of lefts.entries()) {
    multiply(a.data.subarray(base), b.data.subarray(rights[index]!), data.subarray(index * m * n), m, k, n);
  }
  const dims = [...stack, ...(a.dims.length === 1 ? [] : [m]), ...(b.dims.length === 1 ? [] : [n])];
  return { dtype: a.dtype, dims, data };
}

function scaled(strides: readonly number[], factor: number): number[] {
  return strides.map((stride) => stride * factor);
}

function multiply(a: Float64Array, b: Float64Array, out: Float64Array, m: number, k: number, n: number): void {
  for (let row = 0; row < m; row++) {
    for (let inner = 0; inner < k; inner++) {
      const factor = a[row * k + inner]!;
      for (let column = 0; column < n; column++) out[row * n + column]! += factor * b[inner * n + column]!;
    }
  }
}

function mismatch({ node }: EvaluationContext, inputs: readonly Dense[]): OnnxError {
  const sizes = inputs.map((each) => each.dims.join("x")).join(" and ");
  return new OnnxError(
    "shape-mismatch",
    describe(node),
    `${sizes} do not fit`,
    "Feed the sizes that the model was made for",
  );
}

export const matMul: Evaluator = (context) => [matMulOf(context, context.input(0), context.input(1))];

export const gemm: Evaluator = (context) => {
  const { attributes } = context.node;
  const turned = (x: Dense, flag: string) => (intOf(attributes, flag, 0) === 1 ? transposed(x) : x);
  const product = matMulOf(context, turned(context.input(0), "transA"), turned(context.input(1), "transB"));
  const alpha = floatOf(attributes, "alpha", 1);
  const beta = floatOf(attributes, "beta", 1);
  const c = context.inputs[2];
  if (c !== undefined && `${broadcastDims(c.dims, product.dims)}` !== `${product.dims}`)
    throw mismatch(context, [product, c]);
  const places = c && offsets(product.dims, broadcastStrides(c.dims, product.dims));
  const data = product.data.map((value, index) => alpha * value + (c ? beta * c.data[places![index]!]! : 0));
  return [{ ...product, data }];
};

function transposed({ dtype, dims, data }: Dense): Dense {
  const [rows, columns] = [dims[0]!, dims[1]!];
  const places = offsets([columns, rows], [1, columns]);
  return { dtype, dims: [columns, rows], data: Float64Array.from(places, (place) => data[place]!) };
}

/** A sum of products by letters; "..." stands for axes that are broadcast. Source: onnx/docs/Operators.md, Einsum */
export const einsum: Evaluator = (context) => {
  const inputs = context.node.inputs.map((_, index) => context.input(index));
  const ranks = inputs.map(({ dims }) => dims.length);
  const { terms, result } = parseEinsum(stringOf(context.node.attributes, "equation", ""), ranks);
  const sizes = new Map<string, number>();
  for (const [index, letters] of terms.entries()) {
    for (const [axis, letter] of letters.entries()) {
      const size = inputs[index]!.dims[axis]!;
      const known = sizes.get(letter) ?? 1;
      if (known !== 1 && size !== 1 && known !== size) throw mismatch(context, inputs);
      sizes.set(letter, known === 1 ? size : known);
    }
  }
  const summed = [...sizes.keys()].filter((letter) => !result.includes(letter));
  const dimsOf = (letters: readonly string[]) => letters.map((letter) => sizes.get(letter)!);
  const placesOf = (letters: readonly string[]) =>
    inputs.map(({ dims }, index) => offsets(dimsOf(letters), letterStrides(letters, terms[index]!, dims)));
  const outer = placesOf(result);
  const inner = placesOf(summed);
  const dims = dimsOf(result);
  const data = new Float64Array(elementCount(dims));
  for (const place of data.keys()) {
    for (let index = 0; index < inner[0]!.length; index++) {
      data[place]! += inputs.reduce(
        (total, x, input) => total * x.data[outer[input]![place]! + inner[input]![index]!]!,
        1,
      );
    }
  }
  return [dense(inputs[0]!.dtype, dims, data)];
};

/** How far a step along each letter moves in a tensor whose axes have the letters of `term`. */
function letterStrides(letters: readonly string[], term: readonly string[], dims: readonly number[]): number[] {
  const strides = stridesOf(dims);
  return letters.map((letter) =>
    term.reduce((total, each, axis) => (each === letter && dims[axis] !== 1 ? total + strides[axis]! : total), 0),
  );
}
