import { OnnxError } from "../base/errors.js";
import { floats, type HostTensor, ints, type Nested, numbersOf, sizeOf } from "../base/host-tensor.js";
import type { Shape } from "../graph/ir.js";
import type { Loss, LossGraph, LossRequest } from "./loss.js";

/** Labels of tokens, as Hugging Face has them. */
export interface TokenLabels {
  /** [rows, tokens]; -100 where nothing is to be learned. Token t is predicted by the output at t - 1, unless `shifted`. */
  readonly labels: Nested;
  /** Says that labels stand where they are predicted already (encoder-decoders, masked models). */
  readonly shifted?: boolean;
  /** Output with the logits [rows, tokens, vocabulary]; `logits` by default. */
  readonly output?: string;
}

export interface TokenNllOptions extends TokenLabels {
  /** Of rows [rows] or tokens [rows, tokens]; 1 by default. Reward minus baseline gives REINFORCE (Williams 1992). */
  readonly weights?: Nested;
  /** `mean` over labelled tokens, by default, or `sum`. */
  readonly reduction?: "mean" | "sum";
}

/** The label that says that nothing is to be learned. */
const IGNORED = -100;

/** Negative log-likelihood of tokens, sum of weight * -log p(label) over labelled tokens, divided by their number. */
export function tokenNll(options: TokenNllOptions): Loss {
  const { output = "logits", reduction = "mean" } = options;
  return {
    key: `token-nll ${output}`,
    source: { maker: "tokenNll", options },
    outputs: [output],
    group: 1,
    build(graph) {
      const { builder } = graph;
      const weighted = builder.op("Mul", [
        labelled(graph, output),
        graph.input("weights", "float32", placesOf(graph, output)),
      ]);
      return builder.op("Neg", [builder.op("ReduceSum", [weighted], { keepdims: 0 })]);
    },
    async feeds(request) {
      const { targets, mask, dims } = targetsOf(options, request);
      const count = Math.max(1, sum(mask));
      const weights = weightsOf(options.weights, dims, options.shifted === true);
      const scale = reduction === "mean" ? 1 / count : 1;
      return {
        targets,
        weights: floats(
          mask.map((on, i) => on * weights[i]! * scale),
          dims,
        ),
      };
    },
  };
}

/** log p(label) at every place [rows, tokens]; whatever at places without a label. */
export function labelled(graph: LossGraph, output: string): string {
  const { builder } = graph;
  const targets = graph.input("targets", "int64", placesOf(graph, output));
  const logProbs = builder.op("LogSoftmax", [graph.output(output)], { axis: -1 });
  const chosen = builder.op("GatherElements", [logProbs, builder.op("Unsqueeze", [targets, builder.ints(2)])], {
    axis: 2,
  });
  return builder.op("Squeeze", [chosen, builder.ints(2)]);
}

/** Dimensions [rows, tokens] of logits [rows, tokens, vocabulary]. */
export function placesOf(graph: LossGraph, output: string): Shape {
  return graph.dimsOf(output, 3).slice(0, 2);
}

/** Labels moved to where they are predicted, zero where there is none, and the mask of those that are there. */
export function targetsOf(
  { labels, shifted = false, output = "logits" }: TokenLabels,
  request: LossRequest,
): { readonly targets: HostTensor; readonly mask: readonly number[]; readonly dims: readonly number[] } {
  const { values, dims } = numbersOf(labels, "labels");
  const [rows, tokens = 0] = dims;
  if (dims.length !== 2 || rows !== request.rows) {
    throw new OnnxError("shape-mismatch", "labels", `are [${dims}]`, `Pass [${request.rows}, tokens]`);
  }
  const vocabulary = request.typeOf(output)?.shape?.at(-1);
  const moved = shifted ? values : values.map((_, i) => ((i + 1) % tokens === 0 ? IGNORED : values[i + 1]!));
  for (const [i, label] of values.entries()) checkLabel(label, vocabulary, i);
  return {
    targets: ints(
      moved.map((label) => Math.max(0, label)),
      dims,
    ),
    mask: moved.map((label) => (label === IGNORED ? 0 : 1)),
    dims,
  };
}

/** Refuses a class that an output does not have. */
export function checkLabel(label: number, classes: number | string | undefined, index: number): void {
  if (label === IGNORED) return;
  const limit = typeof classes === "number" ? classes : 2 ** 31;
  if (Number.isInteger(label) && label >= 0 && label < limit) return;
  throw new OnnxError(
    "out-of-range",
    `labels[${index}]`,
    `is ${label}`,
    typeof classes === "number" ? `Pass an integer in [0, ${classes}), or ${IGNORED}` : `Pass a class, or ${IGNORED}`,
  );
}

/** One weight for each token, moved with its label. */
function weightsOf(weights: Nested | undefined, dims: readonly number[], shifted: boolean): readonly number[] {
  const [rows = 0, tokens = 0] = dims;
  if (weights === undefined) return Array.from({ length: sizeOf(dims) }, () => 1);
  const { values, dims: given } = numbersOf(weights, "weights");
  if (given.length === 1 && given[0] === rows)
    return values.flatMap((weight) => Array.from({ length: tokens }, () => weight));
  if (given.length !== 2 || given[0] !== rows || given[1] !== tokens) {
    throw new OnnxError("shape-mismatch", "weights", `are [${given}]`, `Pass [${rows}] or [${rows}, ${tokens}]`);
  }
  return shifted ? values : values.map((_, i) => ((i + 1) % tokens === 0 ? 0 : values[i + 1]!));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
