import { intOf } from "../../graph/attributes.js";
import { tensorOfConstant } from "../../graph/constants.js";
import { elementCount } from "../../graph/dtype.js";
import type { Evaluator } from "../../graph/elements/context.js";
import { dense, fromTensor } from "../../graph/elements/dense.js";
import { dtypeOf } from "../../graph/serde/tensor.js";
import { unsupported } from "../../graph/unsupported.js";

export const constant: Evaluator = ({ node }) => {
  const tensor = tensorOfConstant(node);
  const value = tensor && fromTensor(tensor);
  if (value === undefined) throw unsupported(node, "its value is not evaluated");
  return [value];
};

export const constantOfShape: Evaluator = (context) => {
  const dims = [...context.input(0).data];
  const { value } = context.node.attributes;
  const fill = value?.kind === "tensor" ? fromTensor(value.value) : dense("float32", [1], [0]);
  if (fill === undefined) throw unsupported(context.node, "its value is not evaluated");
  return [{ dtype: fill.dtype, dims, data: new Float64Array(elementCount(dims)).fill(fill.data[0]!) }];
};

export const range: Evaluator = (context) => {
  const [start, limit, delta] = [0, 1, 2].map((index) => context.input(index).data[0]!);
  const length = Math.max(0, Math.ceil((limit! - start!) / delta!));
  const data = Float64Array.from({ length }, (_, index) => start! + index * delta!);
  return [{ dtype: context.input(0).dtype, dims: [length], data }];
};

export const shape: Evaluator = (context) => {
  const { attributes } = context.node;
  const { dims } = context.input(0);
  const part = dims.slice(intOf(attributes, "start", 0), intOf(attributes, "end", dims.length));
  return [dense("int64", [part.length], part)];
};

export const size: Evaluator = (context) => [dense("int64", [], [context.input(0).data.length])];

export const eyeLike: Evaluator = (context) => {
  const x = context.input(0);
  const { attributes } = context.node;
  const shift = intOf(attributes, "k", 0);
  const columns = x.dims[1]!;
  const data = x.data.map((_, place) => +((place % columns) - Math.floor(place / columns) === shift));
  return [{ dtype: dtypeOf(intOf(attributes, "dtype", 0)) ?? x.dtype, dims: x.dims, data }];
};
