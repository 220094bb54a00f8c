import type { DType } from "../ir.js";
import type { Evaluator } from "./context.js";
import type { Dense } from "./dense.js";
import { broadcastDims, broadcastStrides, offsets } from "./indexing.js";

/** Computes each element of tensors that are broadcast together. @param dtype of the result */
export function combine(inputs: readonly Dense[], dtype: DType, compute: (values: readonly number[]) => number): Dense {
  const dims = broadcastDims(...inputs.map((each) => each.dims));
  const places = inputs.map((each) => offsets(dims, broadcastStrides(each.dims, dims)));
  const data = Float64Array.from(places[0]!, (_, index) =>
    compute(inputs.map((each, input) => each.data[places[input]![index]!]!)),
  );
  return { dtype, dims, data };
}

export const where: Evaluator = (context) => {
  const [condition, x, y] = [context.input(0), context.input(1), context.input(2)];
  return [combine([condition, x, y], x.dtype, ([which, a, b]) => (which !== 0 ? a! : b!))];
};
