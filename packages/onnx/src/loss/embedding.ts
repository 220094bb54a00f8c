import { checkOptions, refuseArgument } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import { floats, type HostTensor, ints, numbersOf } from "../base/host-tensor.js";
import type { Dim } from "../graph/ir.js";
import type { Loss, LossGraph, LossRequest, LossSource } from "./loss.js";

/** How embeddings are read from a model's output. */
export interface EmbeddingOptions {
  /** Output with the hidden states [rows, tokens, width], or one that is pooled already; `last_hidden_state` by default. */
  readonly output?: string;
  /** Mean over the attention mask, by default, the first token, or the last one of the mask; `none` for a pooled output. */
  readonly pooling?: "mean" | "cls" | "last" | "none";
  /** Scales embeddings to length 1; true by default. */
  readonly normalize?: boolean;
}

/** Fixed vectors, row after row, such as the embeddings of documents. */
export interface Vectors {
  /** [rows, width], row-major. */
  readonly data: Float32Array;
  /** [rows, width]. */
  readonly dims: readonly [number, number];
}

/** Options of `infoNce`. */
export interface InfoNceOptions extends EmbeddingOptions {
  /** Rows of the batch that are queries. */
  readonly anchors: readonly number[];
  /** What each query is scored against: rows of the batch, or fixed vectors. */
  readonly candidates: readonly number[] | Vectors;
  /** For each query the place of its own among the candidates. */
  readonly chosen: readonly number[];
  /** 0.05 by default. */
  readonly temperature?: number;
  /** Of queries; 1 by default. */
  readonly weights?: readonly number[];
}

/** Mean over queries of -log softmax(cosine or dot product with the candidates / temperature) at the chosen one (van den Oord et al. 2018, eq. 4). */
export function infoNce(options: InfoNceOptions): Loss {
  checkOptions(options, [...EMBEDDING, "anchors", "candidates", "chosen", "temperature"], "infoNce");
  const { anchors, candidates, chosen, temperature = 0.05 } = options;
  checkLists({ anchors, chosen });
  if (!(temperature > 0))
    throw new OnnxError("out-of-range", "temperature", `is ${temperature}`, "Pass a positive number");
  if (typeof candidates !== "object" || candidates === null)
    refuseArgument("candidates", candidates, "Pass rows of the batch, or fixed vectors { data, dims }");
  const fixed = "data" in candidates;
  return embeddingLoss(
    `info-nce ${fixed}`,
    { maker: "infoNce", options },
    {
      score(graph, embeddings, width) {
        const { builder } = graph;
        const queries = builder.op("Gather", [embeddings, graph.input("anchors", "int64", [ITEMS])]);
        const documents = fixed
          ? graph.input("candidates", "float32", [CANDIDATES, width])
          : builder.op("Gather", [embeddings, graph.input("candidates", "int64", [CANDIDATES])]);
        const scores = builder.op("MatMul", [queries, builder.op("Transpose", [documents], { perm: [1, 0] })]);
        const scaled = builder.op("Mul", [scores, graph.input("sharpness", "float32", [])]);
        const places = builder.op("Unsqueeze", [graph.input("chosen", "int64", [ITEMS]), builder.ints(1)]);
        const picked = builder.op("GatherElements", [builder.op("LogSoftmax", [scaled], { axis: -1 }), places], {
          axis: 1,
        });
        return builder.op("Neg", [builder.op("Squeeze", [picked, builder.ints(1)])]);
      },
      feeds(rows) {
        const count = fixed ? candidates.dims[0] : candidates.length;
        if (chosen.length !== anchors.length) {
          throw new OnnxError(
            "shape-mismatch",
            "chosen",
            `has ${chosen.length} places`,
            `Pass one for each of ${anchors.length} anchors`,
          );
        }
        return {
          anchors: indices(anchors, rows, "anchors"),
          candidates: fixed ? vectors(candidates) : indices(candidates, rows, "candidates"),
          chosen: indices(chosen, count, "chosen"),
          sharpness: floats([1 / temperature], []),
          weights: meanOf(options.weights, anchors.length),
        };
      },
    },
  );
}

/** Options of `triplet`. */
export interface TripletOptions extends EmbeddingOptions {
  /** Rows of the batch, one of each for a triplet. */
  readonly anchors: readonly number[];
  /** Row that is to be nearer to each anchor. */
  readonly positives: readonly number[];
  /** Row that is to be farther from each anchor. */
  readonly negatives: readonly number[];
  /** 0.5 by default. */
  readonly margin?: number;
  /** Weight of each triplet; 1 by default. */
  readonly weights?: readonly number[];
}

/** Mean over triplets of max(0, margin + |a - p|^2 - |a - n|^2) (Schroff et al. 2015, eq. 3). */
export function triplet(options: TripletOptions): Loss {
  checkOptions(options, [...EMBEDDING, "anchors", "positives", "negatives", "margin"], "triplet");
  const { anchors, positives, negatives, margin = 0.5 } = options;
  checkLists({ anchors, positives, negatives });
  return embeddingLoss(
    "triplet",
    { maker: "triplet", options },
    {
      score(graph, embeddings) {
        const { builder } = graph;
        const [a, p, n] = ["anchors", "positives", "negatives"].map((name) =>
          builder.op("Gather", [embeddings, graph.input(name, "int64", [ITEMS])]),
        ) as [string, string, string];
        const difference = builder.op("Sub", [squaredDistance(graph, a, p), squaredDistance(graph, a, n)]);
        return builder.op("Relu", [builder.op("Add", [difference, graph.input("margin", "float32", [])])]);
      },
      feeds(rows) {
        if (positives.length !== anchors.length || negatives.length !== anchors.length) {
          throw new OnnxError(
            "shape-mismatch",
            "triplets",
            "have lists of different lengths",
            "Pass one row of each for a triplet",
          );
        }
        return {
          anchors: indices(anchors, rows, "anchors"),
          positives: indices(positives, rows, "positives"),
          negatives: indices(negatives, rows, "negatives"),
          margin: floats([margin], []),
          weights: meanOf(options.weights, anchors.length),
        };
      },
    },
  );
}

/** Options of `cosine`. */
export interface CosineOptions extends EmbeddingOptions {
  /** Rows of the batch on either side of a pair. */
  readonly left: readonly number[];
  /** Rows on the other side of each pair. */
  readonly right: readonly number[];
  /** Cosine wanted for each pair, in [-1, 1]. */
  readonly targets: readonly number[];
  /** Weight of each pair; 1 by default. */
  readonly weights?: readonly number[];
}

/** Mean over pairs of (cosine - target)^2, as sentence-transformers' CosineSimilarityLoss. */
export function cosine(options: CosineOptions): Loss {
  checkOptions(options, [...EMBEDDING, "left", "right", "targets"], "cosine");
  const { left, right, targets } = options;
  checkLists({ left, right, targets });
  return embeddingLoss(
    "cosine",
    { maker: "cosine", options: { ...options, normalize: true } },
    {
      score(graph, embeddings) {
        const { builder } = graph;
        const [a, b] = ["left", "right"].map((name) =>
          builder.op("Gather", [embeddings, graph.input(name, "int64", [ITEMS])]),
        ) as [string, string];
        const cosines = builder.op("ReduceSum", [builder.op("Mul", [a, b]), builder.ints(1)], { keepdims: 0 });
        const error = builder.op("Sub", [cosines, graph.input("targets", "float32", [ITEMS])]);
        return builder.op("Mul", [error, error]);
      },
      feeds(rows) {
        if (right.length !== left.length || targets.length !== left.length) {
          throw new OnnxError(
            "shape-mismatch",
            "pairs",
            "have lists of different lengths",
            "Pass a left, a right and a target for each",
          );
        }
        return {
          left: indices(left, rows, "left"),
          right: indices(right, rows, "right"),
          targets: floats(numbersOf(targets, "targets").values, [targets.length]),
          weights: meanOf(options.weights, left.length),
        };
      },
    },
  );
}

function checkLists(lists: Readonly<Record<string, unknown>>): void {
  for (const [where, list] of Object.entries(lists))
    if (!Array.isArray(list)) refuseArgument(where, list, "Pass a list");
}

const EMBEDDING = ["output", "pooling", "normalize", "weights"];

/** Sizes of what is scored, known only when the graph runs. */
const ITEMS = "loss_items";
const CANDIDATES = "loss_candidates";

interface Scoring {
  /** One loss for each item, from embeddings [rows, width]. */
  score(graph: LossGraph, embeddings: string, width: Dim): string;
  feeds(rows: number): Record<string, HostTensor>;
}

function embeddingLoss(
  key: string,
  source: LossSource & { readonly options: EmbeddingOptions },
  scoring: Scoring,
): Loss {
  const { output = "last_hidden_state", pooling = "mean", normalize = true } = source.options;
  const pooled = pooling === "none";
  return {
    key: `${key} ${output} ${pooled} ${normalize}`,
    source,
    outputs: [output],
    group: undefined,
    build(graph) {
      const { builder } = graph;
      const width = graph.dimsOf(output, pooled ? 2 : 3).at(-1)!;
      const embeddings = pooled ? graph.output(output) : pool(graph, output);
      const scores = scoring.score(graph, normalize ? unit(graph, embeddings) : embeddings, width);
      const weighted = builder.op("Mul", [scores, graph.input("weights", "float32", [ITEMS])]);
      return builder.op("ReduceSum", [weighted], { keepdims: 0 });
    },
    async feeds(request) {
      const scored = scoring.feeds(request.rows);
      return pooling === "none" ? scored : { ...scored, pooling: poolingWeights(request, pooling) };
    },
  };
}

/** Weighted sums over the tokens: [rows, tokens] x [rows, tokens, width] -> [rows, width]. */
function pool(graph: LossGraph, output: string): string {
  const { builder } = graph;
  const weights = builder.op("Unsqueeze", [
    graph.input("pooling", "float32", graph.dimsOf(output, 3).slice(0, 2)),
    builder.ints(1),
  ]);
  return builder.op("Squeeze", [builder.op("MatMul", [weights, graph.output(output)]), builder.ints(1)]);
}

/** Each row over its length. */
function unit(graph: LossGraph, value: string): string {
  const { builder } = graph;
  const squares = builder.op("ReduceSum", [builder.op("Mul", [value, value]), builder.ints(-1)], { keepdims: 1 });
  return builder.op("Div", [value, builder.op("Sqrt", [builder.op("Add", [squares, builder.scalar(1e-24)])])]);
}

function squaredDistance(graph: LossGraph, a: string, b: string): string {
  const { builder } = graph;
  const difference = builder.op("Sub", [a, b]);
  return builder.op("ReduceSum", [builder.op("Mul", [difference, difference]), builder.ints(1)], { keepdims: 0 });
}

/** By row, how much each token counts: the pooling of sentence-transformers, from the attention mask of the feeds. */
function poolingWeights({ feeds, rows }: LossRequest, pooling: "mean" | "cls" | "last"): HostTensor {
  const mask = feeds.attention_mask ?? Object.values(feeds).find(({ dims }) => dims.length === 2);
  if (mask === undefined)
    throw new OnnxError("unknown-value", "feeds", "have no attention_mask", 'Pass one, or pooling "none"');
  const { values, dims } = numbersOf(mask, "attention_mask");
  const tokens = dims[1] ?? 0;
  const isOn = (place: number): boolean => feeds.attention_mask === undefined || values[place] !== 0;
  const weights = new Float32Array(rows * tokens);
  for (let row = 0; row < rows; row++) {
    const on = Array.from({ length: tokens }, (_, token) => row * tokens + token).filter(isOn);
    const places = pooling === "mean" ? on : pooling === "cls" ? [row * tokens] : on.slice(-1);
    for (const place of places) weights[place] = 1 / places.length;
  }
  return floats(weights, [rows, tokens]);
}

/** Weights over their number, so that the sum of weighted terms is a mean. */
function meanOf(weights: readonly number[] | undefined, count: number): HostTensor {
  const { values } = numbersOf(weights ?? Array.from({ length: count }, () => 1), "weights");
  if (values.length !== count)
    throw new OnnxError("shape-mismatch", "weights", `has ${values.length} values`, `Pass ${count}`);
  return floats(
    values.map((weight) => weight / Math.max(1, count)),
    [count],
  );
}

function indices(values: readonly number[], limit: number, where: string): HostTensor {
  if (!Array.isArray(values)) refuseArgument(where, values, "Pass a list of places");
  for (const [i, value] of values.entries()) {
    if (!Number.isInteger(value) || value < 0 || value >= limit) {
      throw new OnnxError("out-of-range", `${where}[${i}]`, `is ${value}`, `Pass an integer in [0, ${limit})`);
    }
  }
  if (values.length === 0) throw new OnnxError("shape-mismatch", where, "is empty", "Pass at least one");
  return ints(values, [values.length]);
}

function vectors({ data, dims }: Vectors): HostTensor {
  if (data.length !== dims[0] * dims[1]) {
    throw new OnnxError("shape-mismatch", "candidates", `has ${data.length} numbers`, `Pass ${dims[0]} x ${dims[1]}`);
  }
  return floats(data, dims);
}
