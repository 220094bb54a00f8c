import { OnnxError } from "../../base/errors.js";
import { intOf } from "../attributes.js";
import { elementCount } from "../dtype.js";
import { describe } from "../order.js";
import type { EvaluationContext, Evaluator } from "./context.js";
import { dense } from "./dense.js";
import { frontAxis, offsets, stridesOf } from "./indexing.js";

/** An index counted from the front. */
export function frontIndex({ node }: EvaluationContext, index: number, size: number): number {
  const front = index < 0 ? index + size : index;
  if (front >= 0 && front < size) return front;
  throw new OnnxError("out-of-range", describe(node), `index ${index} of ${size}`, "Feed indices that the model has");
}

export const gather: Evaluator = (context) => {
  const [x, indices] = [context.input(0), context.input(1)];
  const axis = frontAxis(intOf(context.node.attributes, "axis", 0), x.dims.length);
  const size = x.dims[axis]!;
  const strides = stridesOf(x.dims);
  const outer = offsets(x.dims.slice(0, axis), strides);
  const inner = offsets(x.dims.slice(axis + 1), strides.slice(axis + 1));
  const dims = [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)];
  const data = new Float64Array(elementCount(dims));
  let next = 0;
  for (const base of outer) {
    for (const index of indices.data) {
      const place = base + frontIndex(context, index, size) * strides[axis]!;
      for (const offset of inner) data[next++] = x.data[place + offset]!;
    }
  }
  return [dense(x.dtype, dims, data)];
};
