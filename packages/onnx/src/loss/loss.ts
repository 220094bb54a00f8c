import type { HostTensor } from "../base/host-tensor.js";
import type { GraphBuilder } from "../graph/builder.js";
import type { DType, Shape, TensorType } from "../graph/ir.js";

/** What a loss writes its nodes with. */
export interface LossGraph {
  /** Takes the nodes of the loss. */
  readonly builder: GraphBuilder;
  /** Dimensions of an output of the model, names for those that only a run knows; `rank` of them. */
  dimsOf(output: string, rank: number): Shape;
  /** Adds an input, which `feeds` gives; its name is made unique to the loss. */
  input(name: string, dtype: DType, shape: Shape): string;
  /** An output of the model in float32. @throws OnnxError `unknown-value` */
  output(name: string): string;
}

/** What a loss sees of the request that it is computed for. */
export interface LossRequest {
  /** Inputs of the model. */
  readonly feeds: Readonly<Record<string, HostTensor>>;
  /** Rows of the batch. */
  readonly rows: number;
  /** The type of an output of the model. */
  typeOf(output: string): TensorType | undefined;
  /** The sizes of an output for these feeds, undefined for what only the run will tell. */
  sizesOf(output: string): readonly (number | undefined)[] | undefined;
  /** The outputs of the base model for the same feeds: the zero adapter's. */
  base(): Promise<Readonly<Record<string, HostTensor>>>;
}

/** What a loss was made of. */
export interface LossSource {
  /** The name of its maker, among `LOSSES` or those that loading is told of. */
  readonly maker: string;
  /** What that was given: numbers, texts, lists, objects, tensors and other losses of these kinds. */
  readonly options: unknown;
}

/** A scalar function of a model's outputs: a value, whose graph is the same for the same `key`. */
export interface Loss {
  /** Tells losses with other graphs apart: equal keys share a derived graph. */
  readonly key: string;
  /** Without it, a request with this loss is left out of saved states. */
  readonly source?: LossSource;
  /** Names of the model's outputs that it reads. */
  readonly outputs: readonly string[];
  /** Rows that belong together, if the loss is a sum over such groups and so can be computed group by group. */
  readonly group: number | undefined;
  /** Writes the loss. @returns the name of a float32 scalar */
  build(graph: LossGraph): string;
  /** Values of the inputs that `build` added, all with the rows of the batch first. @throws OnnxError */
  feeds(request: LossRequest): Promise<Readonly<Record<string, HostTensor>>>;
  /**
   * For each group of rows, the factor that its own loss has in the whole: 1 / n in a mean over n groups. Fisher information is of
   * single examples, whose gradients these factors give back. 1 for each group by default, as in a sum.
   */
  shares?(request: LossRequest): readonly number[];
}
