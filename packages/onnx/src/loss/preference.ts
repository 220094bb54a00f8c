import { checkOptions, refuseArgument } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import { floats, type HostTensor, type Nested, numbersOf } from "../base/host-tensor.js";
import type { Loss, LossGraph, LossRequest } from "./loss.js";
import { labelled, placesOf, rowShares, type TokenLabels, targetsOf } from "./tokens.js";

interface PreferenceOptions extends TokenLabels {
  /** How much the policy may leave the base model: 0.1 by default; less lets it go further. */
  readonly beta?: number;
  /** Of pairs (DPO) or rows (KTO); 1 by default. */
  readonly weights?: readonly number[];
}

/** Rows 2 i and 2 i + 1 of the batch are the chosen and the rejected text of pair i. */
export type DpoOptions = PreferenceOptions;

/** Options of `kto`. */
export interface KtoOptions extends PreferenceOptions {
  /** Thumbs up or down, by row. */
  readonly desirable: readonly boolean[];
  /** z0, beta * KL of policy and base: an estimate that the caller keeps across requests; 0 by default, which is its bound. */
  readonly referencePoint?: number;
}

/**
 * Direct preference optimisation: mean over pairs of -log sigmoid(beta * ((log p - log p0)(chosen) - (log p - log p0)(rejected))),
 * p0 being the base model, which is this model with the zero adapter (Rafailov et al. 2023, eq. 7).
 */
export function dpo(options: DpoOptions): Loss {
  checkOptions(options, ["labels", "shifted", "output", "beta", "weights"], "dpo");
  const { output = "logits", beta = 0.1 } = options;
  checkBeta(beta);
  return {
    key: `dpo ${output}`,
    source: { maker: "dpo", options },
    outputs: [output],
    group: 2,
    build(graph) {
      const { builder } = graph;
      const pairs = builder.op("Reshape", [logRatio(graph, output), builder.ints(-1, 2)]);
      const logSigmoid = builder.op("LogSoftmax", [pairs], { axis: -1 });
      return negatedSum(
        graph,
        builder.op("Mul", [builder.op("Reshape", [logSigmoid, builder.ints(-1)]), rowWeights(graph, output)]),
      );
    },
    async feeds(request) {
      if (request.rows % 2 !== 0) {
        throw new OnnxError(
          "shape-mismatch",
          "feeds",
          `have ${request.rows} rows`,
          "Pass pairs: chosen, rejected, chosen, …",
        );
      }
      const pairs = request.rows / 2;
      const weights = weightsOf(options.weights, pairs).flatMap((weight) => [weight / pairs, 0]);
      return { ...(await ratioFeeds(options, request, beta)), rowWeights: floats(weights, [request.rows]) };
    },
    shares: ({ rows }) => Array.from({ length: rows / 2 }, () => 2 / rows),
  };
}

/**
 * Kahneman-Tversky optimisation on single texts: mean over rows of 1 - sigmoid(±(beta * (log p - log p0) - z0)), plus for
 * desirable ones, minus for the others (Ethayarajh et al. 2024, eq. 8).
 */
export function kto(options: KtoOptions): Loss {
  checkOptions(options, ["labels", "shifted", "output", "beta", "weights", "desirable", "referencePoint"], "kto");
  const { output = "logits", beta = 0.1, referencePoint = 0, desirable } = options;
  if (!Array.isArray(desirable)) refuseArgument("desirable", desirable, "Pass true or false for each row");
  checkBeta(beta);
  return {
    key: `kto ${output}`,
    source: { maker: "kto", options },
    outputs: [output],
    group: 1,
    build(graph) {
      const { builder } = graph;
      const distance = builder.op("Sub", [
        logRatio(graph, output),
        graph.input("referencePoint", "float32", placesOf(graph, output).slice(0, 1)),
      ]);
      const value = builder.op("Sigmoid", [
        builder.op("Mul", [distance, graph.input("sign", "float32", placesOf(graph, output).slice(0, 1))]),
      ]);
      return negatedSum(
        graph,
        builder.op("Mul", [builder.op("Sub", [value, builder.scalar(1)]), rowWeights(graph, output)]),
      );
    },
    async feeds(request) {
      const { rows } = request;
      if (desirable.length !== rows) {
        throw new OnnxError(
          "shape-mismatch",
          "desirable",
          `has ${desirable.length} rows`,
          `Pass one for each of ${rows}`,
        );
      }
      const weights = weightsOf(options.weights, rows).map((weight) => weight / rows);
      return {
        ...(await ratioFeeds(options, request, beta)),
        referencePoint: floats(new Float32Array(rows).fill(referencePoint), [rows]),
        sign: floats(
          desirable.map((good) => (good ? 1 : -1)),
          [rows],
        ),
        rowWeights: floats(weights, [rows]),
      };
    },
    shares: ({ rows }) => Array.from({ length: rows }, () => 1 / rows),
  };
}

/** Options of `klToBase`. */
export interface KlOptions {
  /** Output with the logits; `logits` by default. */
  readonly output?: string;
  /** [rows, tokens], 1 where the divergence counts; the attention mask of the feeds by default, else every place. */
  readonly mask?: Nested;
}

/** KL(p || p0) of the model with the adapter from the base model, mean over the masked places: what to add to hold on to the base. */
export function klToBase(options: KlOptions = {}): Loss {
  checkOptions(options, ["output", "mask"], "klToBase");
  const { output = "logits", mask } = options;
  return {
    key: `kl-to-base ${output}`,
    source: { maker: "klToBase", options },
    outputs: [output],
    group: 1,
    build(graph) {
      const { builder } = graph;
      const logits = graph.output(output);
      const logProbs = builder.op("LogSoftmax", [logits], { axis: -1 });
      const base = builder.op("LogSoftmax", [graph.input("base", "float32", graph.dimsOf(output, 3))], {
        axis: -1,
      });
      const terms = builder.op("Mul", [
        builder.op("Softmax", [logits], { axis: -1 }),
        builder.op("Sub", [logProbs, base]),
      ]);
      const places = builder.op("ReduceSum", [terms, builder.ints(-1)], { keepdims: 0 });
      const weighted = builder.op("Mul", [places, graph.input("mask", "float32", placesOf(graph, output))]);
      return builder.op("ReduceSum", [weighted], { keepdims: 0 });
    },
    async feeds(request) {
      const base = (await request.base())[output]!;
      const dims = base.dims.slice(0, 2);
      const values = maskOf(mask, request, dims);
      const count = Math.max(1, sum(values));
      return {
        base: floats(toFloat32(base), base.dims),
        mask: floats(
          values.map((value) => value / count),
          dims,
        ),
      };
    },
    shares(request) {
      const { feeds, rows } = request;
      const given = mask ?? feeds.attention_mask;
      if (given === undefined) return Array.from({ length: rows }, () => 1 / rows);
      const { values, dims } = numbersOf(given, "mask");
      return rowShares(values, dims);
    },
  };
}

/** The places where the divergence counts. */
function maskOf(mask: Nested | undefined, { feeds }: LossRequest, dims: readonly number[]): readonly number[] {
  const every = floats(new Float32Array(dims[0]! * dims[1]!).fill(1), dims);
  const { values } = numbersOf(mask ?? feeds.attention_mask ?? every, "mask");
  if (values.length === every.dims[0]! * every.dims[1]!) return values;
  throw new OnnxError("shape-mismatch", "mask", `has ${values.length} places`, `Pass [${dims}]`);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** beta * (log p - log p0) of whole rows [rows]. */
function logRatio(graph: LossGraph, output: string): string {
  const { builder } = graph;
  const scaled = builder.op("Mul", [labelled(graph, output), graph.input("mask", "float32", placesOf(graph, output))]);
  const rows = builder.op("ReduceSum", [scaled, builder.ints(1)], { keepdims: 0 });
  return builder.op("Sub", [rows, graph.input("reference", "float32", placesOf(graph, output).slice(0, 1))]);
}

/** Inputs of `logRatio`; beta is in the mask and in the reference, so that every beta has the same graph. */
async function ratioFeeds(
  options: PreferenceOptions,
  request: LossRequest,
  beta: number,
): Promise<Record<string, HostTensor>> {
  const { targets, mask, dims } = targetsOf(options, request);
  const logits = (await request.base())[options.output ?? "logits"]!;
  const reference = sequenceLogProbs(logits, targets, mask).map((value) => beta * value);
  return {
    targets,
    mask: floats(
      mask.map((on) => on * beta),
      dims,
    ),
    reference: floats(reference, [dims[0]!]),
  };
}

/** Sum of log p(target) over the masked places of each row, in double. */
function sequenceLogProbs(logits: HostTensor, targets: HostTensor, mask: readonly number[]): number[] {
  const [rows = 0, tokens = 0, classes = 0] = logits.dims;
  const values = toFloat32(logits);
  const labels = targets.data as BigInt64Array;
  return Array.from({ length: rows }, (_, row) => {
    let total = 0;
    for (let place = row * tokens; place < (row + 1) * tokens; place++) {
      if (mask[place] === 0) continue;
      const scores = values.subarray(place * classes, (place + 1) * classes);
      const largest = scores.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
      const sum = scores.reduce((partial, value) => partial + Math.exp(value - largest), 0);
      total += scores[Number(labels[place]!)]! - largest - Math.log(sum);
    }
    return total;
  });
}

function toFloat32({ data, type }: HostTensor): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new OnnxError("unsupported-type", "output", `is ${type}`, "Pass a model whose logits are float32");
}

function rowWeights(graph: LossGraph, output: string): string {
  return graph.input("rowWeights", "float32", placesOf(graph, output).slice(0, 1));
}

function negatedSum(graph: LossGraph, value: string): string {
  return graph.builder.op("Neg", [graph.builder.op("ReduceSum", [value], { keepdims: 0 })]);
}

function weightsOf(weights: readonly number[] | undefined, count: number): readonly number[] {
  if (weights === undefined) return Array.from({ length: count }, () => 1);
  const { values } = numbersOf(weights, "weights");
  if (values.length === count) return values;
  throw new OnnxError("shape-mismatch", "weights", `has ${values.length} values`, `Pass ${count}`);
}

function checkBeta(beta: number): void {
  if (beta > 0 && beta < Number.POSITIVE_INFINITY) return;
  throw new OnnxError("out-of-range", "beta", `is ${beta}`, "Pass a positive number");
}
