import { OnnxError } from "../base/errors.js";
import { floats, ints, numbersOf } from "../base/host-tensor.js";
import type { Loss } from "./loss.js";
import { checkLabel } from "./tokens.js";

export interface CrossEntropyOptions {
  /** Class of each row. */
  readonly labels: readonly number[];
  /** Of rows; 1 by default. */
  readonly weights?: readonly number[];
  /** Output with the scores [rows, classes]; `logits` by default. */
  readonly output?: string;
}

/** Mean over rows of -log softmax(scores) at the row's class. */
export function crossEntropy(options: CrossEntropyOptions): Loss {
  const { labels, weights, output = "logits" } = options;
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
    async feeds({ rows, typeOf }) {
      const { values } = numbersOf(labels, "labels");
      const { values: given } = numbersOf(weights ?? values.map(() => 1), "weights");
      if (values.length !== rows || given.length !== rows) {
        throw new OnnxError(
          "shape-mismatch",
          "labels",
          `has ${values.length} classes`,
          `Pass one class and weight for each of ${rows} rows`,
        );
      }
      const classes = typeOf(output)?.shape?.at(-1);
      for (const [i, label] of values.entries()) checkLabel(label, classes, i);
      const count = Math.max(1, values.filter((label) => label >= 0).length);
      return {
        labels: ints(
          values.map((label) => Math.max(0, label)),
          [rows],
        ),
        weights: floats(
          given.map((weight, i) => (values[i]! < 0 ? 0 : weight / count)),
          [rows],
        ),
      };
    },
  };
}
