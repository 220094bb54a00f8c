import { checkOptions } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import { floats, type HostTensor, ints, numbersOf } from "../base/host-tensor.js";
import type { Loss, LossRequest } from "./loss.js";
import { checkLabel } from "./tokens.js";

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** Class of each row, or of each place in front of an output that has another first size; -100 for none. */
  readonly labels: readonly (number | bigint)[] | HostTensor;
  /** Of rows; 1 by default. */
  readonly weights?: readonly number[] | HostTensor;
  /** Output with the scores [rows, classes]; `logits` by default. */
  readonly output?: string;
}

/** Mean over rows of -log softmax(scores) at the row's class. */
export function crossEntropy(options: CrossEntropyOptions): Loss {
  checkOptions(options, ["labels", "weights", "output"], "crossEntropy");
  const { weights, output = "logits" } = options;
  return {
    key: `cross-entropy ${output}`,
    source: { maker: "crossEntropy", options },
    outputs: [output],
    group: 1,
    build(graph) {
      const { builder } = graph;
      const rows = graph.dimsOf(output, 2).slice(0, 1);
      const places = builder.op("Unsqueeze", [graph.input("labels", "int64", rows), builder.ints(1)]);
      const logProbs = builder.op("LogSoftmax", [graph.output(output)], { axis: -1 });
      const picked = builder.op("Squeeze", [
        builder.op("GatherElements", [logProbs, places], { axis: 1 }),
        builder.ints(1),
      ]);
      const weighted = builder.op("Mul", [picked, graph.input("weights", "float32", rows)]);
      return builder.op("Neg", [builder.op("ReduceSum", [weighted], { keepdims: 0 })]);
    },
    async feeds(request) {
      const { values, count } = classesOf(options, request);
      const { values: given } = numbersOf(weights ?? values.map(() => 1), "weights");
      if (given.length !== values.length)
        throw new OnnxError("shape-mismatch", "weights", `has ${given.length} numbers`, `Pass ${values.length}`);
      return {
        labels: ints(
          values.map((label) => Math.max(0, label)),
          [values.length],
        ),
        weights: floats(
          given.map((weight, i) => (values[i]! < 0 ? 0 : weight / count)),
          [values.length],
        ),
      };
    },
    shares(request) {
      const { values, count } = classesOf(options, request);
      return values.map((label) => (label < 0 ? 0 : 1 / count));
    },
  };
}

/** The classes, and how many of them count. */
function classesOf({ labels, output = "logits" }: CrossEntropyOptions, request: LossRequest) {
  const { values } = numbersOf(labels, "labels");
  const rows = request.sizesOf(output)?.[0] ?? request.rows;
  if (values.length !== rows) {
    const problem = `has ${values.length} classes`;
    throw new OnnxError("shape-mismatch", "labels", problem, `Pass one class and weight for each of ${rows} rows`);
  }
  const classes = request.typeOf(output)?.shape?.at(-1);
  for (const [i, label] of values.entries()) checkLabel(label, classes, i);
  const count = values.filter((label) => label >= 0).length;
  if (count > 0) return { values, count };
  throw new OnnxError("out-of-range", "labels", "are all ignored", "Label at least one row");
}
