import { checkOptions, refuseArgument } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import { floats, type HostTensor, ints, type Nested, numbersOf, sizeOf } from "../base/host-tensor.js";
import type { Shape } from "../graph/ir.js";
import type { Loss, LossGraph, LossRequest } from "./loss.js";

/** Labels of tokens, as Hugging Face has them. */
export interface TokenLabels {
  /**
   * [rows, tokens], or the first two sizes of the output; -100 where nothing is to be learned. Places that `attention_mask` leaves out
   * are not learned either. Token t is predicted by the output at t - 1, unless `shifted`.
   */
  readonly labels: Nested;
  /** Says that labels stand where they are predicted already (encoder-decoders, masked models). */
  readonly shifted?: boolean;
  /** Output with the logits [rows, tokens, vocabulary]; `logits` by default. */
  readonly output?: string;
}

/** Options of `tokenNll`. */
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
  checkOptions(options, ["labels", "shifted", "output", "weights", "reduction"], "tokenNll");
  const { output = "logits", reduction = "mean" } = options;
  if (reduction !== "mean" && reduction !== "sum") refuseArgument("reduction", reduction, 'Pass "mean" or "sum"');
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
      const weights = weightsOf(options.weights, dims, options.shifted === true);
      const scale = reduction === "mean" ? 1 / sum(mask) : 1;
      return {
        targets,
        weights: floats(
          mask.map((on, i) => on * weights[i]! * scale),
          dims,
        ),
      };
    },
    shares(request) {
      const { mask, dims } = targetsOf(options, request);
      return reduction === "mean" ? rowShares(mask, dims) : mask.slice(0, dims[0]!).map(() => 1);
    },
  };
}

/** How much of all places that count each row has. */
export function rowShares(mask: readonly number[], [rows = 0]: readonly number[]): readonly number[] {
  const width = mask.length / Math.max(1, rows);
  const total = sum(mask);
  return Array.from({ length: rows }, (_, row) => sum(mask.slice(row * width, (row + 1) * width)) / total);
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
  const [rows = request.rows, tokens] = request.sizesOf(output) ?? [];
  const isFitting = dims.length === 2 && dims[0] === rows && (tokens === undefined || dims[1] === tokens);
  if (!isFitting) {
    const remedy = `Pass [${rows}, ${tokens ?? "tokens"}], as the output ${output} has them`;
    throw new OnnxError("shape-mismatch", "labels", `are [${dims}]`, remedy);
  }
  for (const [i, label] of values.entries()) checkLabel(label, request.typeOf(output)?.shape?.at(-1), i);
  const seen = withoutPadding(values, dims, request);
  const width = dims[1]!;
  const moved = shifted ? seen : seen.map((_, i) => ((i + 1) % width === 0 ? IGNORED : seen[i + 1]!));
  if (moved.every((label) => label === IGNORED)) {
    const problem = `leave nothing to learn: each is ${IGNORED}, at padding, or first in its row`;
    throw new OnnxError("out-of-range", "labels", problem, "Label at least one place that the model predicts");
  }
  return {
    targets: ints(
      moved.map((label) => Math.max(0, label)),
      dims,
    ),
    mask: moved.map((label) => (label === IGNORED ? 0 : 1)),
    dims,
  };
}

/** Labels, ignored at the places that the attention mask of the same tokens leaves out. */
function withoutPadding(values: readonly number[], dims: readonly number[], { feeds }: LossRequest): readonly number[] {
  const own = feeds.decoder_attention_mask ?? (feeds.encoder_hidden_states ? undefined : feeds.attention_mask);
  if (own === undefined || own.dims.length !== 2) return values;
  const mask = numbersOf(own, "attention_mask");
  const [rows, width] = mask.dims as [number, number];
  // Behind past keys and values the mask is longer than the tokens, whose part of it is the last one.
  if (rows !== dims[0] || width < dims[1]!) return values;
  const first = width - dims[1]!;
  return values.map((label, i) => {
    const [row, place] = [Math.floor(i / dims[1]!), i % dims[1]!];
    return mask.values[row * width + first + place] === 0 ? IGNORED : label;
  });
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
