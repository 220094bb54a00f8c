import { OnnxError } from "../base/errors.js";
import { type AttributeValue, GraphBuilder } from "../graph/builder.js";
import { rankSymbol } from "../graph/dim.js";
import { elementCount } from "../graph/dtype.js";
import type { Dim, Graph, Model, Node, Shape, TensorType, ValueInfo } from "../graph/ir.js";
import { producersOf, sorted, valueNames } from "../graph/verbs.js";
import type { Module } from "./modules.js";
import { type Rows, rowsIn } from "./rows.js";
import { isPointwise, type Site } from "./sites.js";

/** The pair of inputs through which a weight gets its adapters. */
export interface Port {
  /** Input A [rows, inFeatures, rank]; without `hasRows` [inFeatures, rank], for one adapter that serves the whole batch. */
  readonly loraA: string;
  /** Input B [rows, rank, outFeatures] or [rank, outFeatures], with the scaling in it. */
  readonly loraB: string;
  readonly hasRows: boolean;
  readonly inFeatures: number;
  /** Of the whole weight, where the modules are slices of it. */
  readonly outFeatures: number;
  /** The modules that share the weight: one, or slices (Q and V of a packed projection). */
  readonly modules: readonly Module[];
  /** The symbol of the batch whose rows are apart here, so that each can have an adapter of its own; undefined if they are not. */
  readonly batch: Dim | undefined;
}

/** A model with adapters on some of its modules. With A or B zero it computes what the model computes. */
export interface Graft {
  readonly model: Model;
  readonly ports: readonly Port[];
}

export interface GraftOptions {
  /** Rows of A and B, undefined for matrices that all rows share. */
  readonly rows: Dim | undefined;
  /** What inference knows of a value. */
  typeOf(value: string): TensorType | undefined;
}

/**
 * Adds y <- y + (x A) B at every site of the modules that the graph has, with A and B as inputs of the graph (Hu et al. 2021,
 * eq. 3).
 */
export function graft(model: Model, modules: readonly Module[], options: GraftOptions): Graft {
  const { graph } = model;
  const names = valueNames(graph);
  const builder = new GraphBuilder("lora.", (name) => names.has(name));
  const known = { typeOf: options.typeOf, producers: producersOf(graph), batches: batchesOf(graph) };
  const rowsOf = (value: string) => rowsIn(value, known);
  const writer = new Writer(builder, options, rowsOf);
  const inputs: ValueInfo[] = [];
  const nodes = new Set(graph.nodes);
  const ports = groupByWeight(modules).map((members, i) => {
    const { inFeatures } = members[0]!;
    const sites = members[0]!.sites.filter(({ last }) => nodes.has(last));
    const outFeatures = members[0]!.slice?.whole ?? members[0]!.outFeatures;
    const label = members.length === 1 ? members[0]!.name : (members[0]!.slice?.of ?? members[0]!.name);
    const [loraA, loraB] = [`${label}.lora_A`, `${label}.lora_B`];
    const rows = options.rows === undefined ? [] : [options.rows];
    const rank = rankSymbol(i);
    inputs.push(input(loraA, [...rows, inFeatures, rank]), input(loraB, [...rows, rank, outFeatures]));
    for (const site of sites) writer.write(site, loraA, loraB, outFeatures);
    const batches = new Set(sites.length === 0 ? [batchOf(graph)] : sites.map(({ input }) => rowsOf(input)?.batch));
    const batch = batches.size === 1 ? [...batches][0] : undefined;
    return { loraA, loraB, hasRows: rows.length > 0, inFeatures, outFeatures, modules: members, batch };
  });
  const grafted = sorted({ ...writer.into(graph), inputs: [...graph.inputs, ...inputs] });
  return { model: { ...model, graph: grafted }, ports };
}

function input(name: string, shape: readonly Dim[]): ValueInfo {
  return { name, type: { dtype: "float32", shape } };
}

/** Slices of one weight go through one port. */
function groupByWeight(modules: readonly Module[]): readonly (readonly Module[])[] {
  const groups = new Map<string, Module[]>();
  for (const module of modules) {
    const key = module.slice?.of ?? module.name;
    groups.set(key, [...(groups.get(key) ?? []), module]);
  }
  return [...groups.values()];
}

/**
 * The size of the batch: the first dimension of the first input where it is a symbol, since states beside it may have a fixed one
 * there (Silero's [2, batch, 128]); else of the first input that has any.
 */
export function batchOf(graph: Graph): Dim | undefined {
  const batches = batchesOf(graph);
  return batches.find((dim) => typeof dim === "string") ?? batches[0];
}

/** The first dimensions of all inputs: exporters may give each a symbol of its own (torch.export: s33, s6). */
function batchesOf({ inputs }: Graph): readonly Dim[] {
  return [...new Set(inputs.flatMap(({ type }) => type?.shape?.[0] ?? []))];
}

/** Writes the nodes of adapters and remembers where they go. */
class Writer {
  readonly #builder: GraphBuilder;
  readonly #options: GraftOptions;
  readonly #rowsOf: (value: string) => Rows | undefined;
  readonly #added = new Map<Node, { readonly site: Site; readonly base: string; readonly nodes: readonly Node[] }>();
  readonly #known = new Map<string, string>();

  constructor(builder: GraphBuilder, options: GraftOptions, rowsOf: (value: string) => Rows | undefined) {
    this.#builder = builder;
    this.#options = options;
    this.#rowsOf = rowsOf;
  }

  write(site: Site, loraA: string, loraB: string, outFeatures: number): void {
    const builder = this.#builder;
    const start = builder.nodes.length;
    const base = builder.fresh("base");
    const delta = this.#delta(site, loraA, loraB, base);
    const { shape, dtype } = this.#options.typeOf(site.output) ?? {};
    const rank = site.isSplit ? undefined : shape?.length;
    const ready = delta.shaped ? delta.value : this.#shapeAs(delta.value, base, rank, outFeatures);
    const cast = dtype === undefined || dtype === "float32" ? ready : this.#cast(ready, dtype);
    builder.add({
      name: builder.fresh("Add"),
      op: "Add",
      domain: "",
      inputs: [base, cast],
      outputs: [site.output],
      attributes: {},
    });
    this.#added.set(site.last, { site, base, nodes: builder.nodes.slice(start) });
  }

  #delta(site: Site, loraA: string, loraB: string, base: string): { value: string; shaped: boolean } {
    if (site.kind === "embedding") return this.#embedding(site, loraA, loraB);
    if (site.kind === "conv") return this.#convolution(site, loraA, loraB);
    return site.isLeft ? this.#fromLeft(site, loraA, loraB, base) : this.#linear(site, loraA, loraB);
  }

  /** (x A) B: of all rows at once for one adapter, else of x as a batch of rows, into which it is cut if it is not one. */
  #linear(site: Site, loraA: string, loraB: string): { value: string; shaped: boolean } {
    const { shape } = this.#options.typeOf(site.input) ?? {};
    const [x, sign] = this.#inFloats(site.input);
    const { value, shaped } = this.#product(site, x, shape, loraA, loraB, (site.scale ?? 1) * sign);
    return { value, shaped: shaped && !site.isSplit };
  }

  /** A value in float32, and what it is to be multiplied by. */
  #inFloats(value: string): readonly [string, 1 | -1] {
    const { dtype } = this.#options.typeOf(value) ?? {};
    return dtype === undefined || dtype === "float32" ? [value, 1] : [this.#negativeOf(value), -1];
  }

  /** scale (x A) B. @param shape of x */
  #product(
    { input, inFeatures, isSplit }: Site,
    x: string,
    shape: Shape | undefined,
    loraA: string,
    loraB: string,
    scale: number,
  ): { value: string; shaped: boolean } {
    const builder = this.#builder;
    const shared = this.#options.rows === undefined;
    const layout = shared ? undefined : this.#rowsOf(input);
    const isMatrix = shared
      ? shape?.length === 2
      : shape?.length === 3 && layout?.axis === 0 && shape[0] === layout.batch;
    const shaped = isMatrix && !isSplit;
    const rows = shaped ? x : this.#cut(x, loraA, layout, inFeatures);
    const product = shared ? "Gemm" : "MatMul";
    const low = builder.op(product, [rows, loraA]);
    const scaled = scale === 1 ? low : builder.op("Mul", [low, builder.scalar(scale)]);
    const delta = builder.op(product, [scaled, loraB]);
    return { value: this.#joined(delta, layout), shaped };
  }

  /** y = W x: the same of the transposed, and transposed back. */
  #fromLeft(site: Site, loraA: string, loraB: string, base: string): { value: string; shaped: boolean } {
    const { shape } = this.#options.typeOf(site.input) ?? {};
    const rank = shape?.length;
    if (shape === undefined || rank === undefined) refuseRank(site);
    const builder = this.#builder;
    const axes = Array.from({ length: rank }, (_, axis) => axis);
    const turn = { perm: [...axes.slice(0, -2), rank - 1, rank - 2] };
    const [x, sign] = this.#inFloats(site.input);
    const turned = this.#once("Transpose", [x], turn);
    const from = [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!];
    const { value, shaped } = this.#product(site, turned, from, loraA, loraB, sign);
    const whole = shaped
      ? value
      : builder.op("Reshape", [value, builder.op("Shape", [builder.op("Transpose", [base], turn)])]);
    return { value: builder.op("Transpose", [whole], turn), shaped: true };
  }

  /**
   * A convolution's change: what its kernel sees at each place lies side by side, [batch, places, channels x kernel], and goes through A and
   * B as any x.
   */
  #convolution(site: Site, loraA: string, loraB: string): { value: string; shaped: boolean } {
    const builder = this.#builder;
    const { inFeatures, kernel = [] } = site;
    const [x, sign] = this.#inFloats(site.input);
    const seen = isPointwise(site) ? x : this.#unfolded(site, x, inFeatures / elementCount(kernel));
    const flat = builder.op("Reshape", [seen, builder.ints(0, inFeatures, -1)]);
    const places = builder.op("Transpose", [flat], { perm: [0, 2, 1] });
    const batch = this.#rowsOf(site.input)?.batch;
    const shape = batch === undefined ? undefined : [batch, "places", inFeatures];
    const { value, shaped } = this.#product(site, places, shape, loraA, loraB, sign);
    const whole = shaped ? value : this.#unjoined(value, places, site.outFeatures);
    return { value: builder.op("Transpose", [whole], { perm: [0, 2, 1] }), shaped: false };
  }

  /** Rows that were laid under one another as [batch, places, out] again. */
  #unjoined(value: string, like: string, outFeatures: number): string {
    const builder = this.#builder;
    const batch = builder.op("Slice", [builder.op("Shape", [like]), builder.ints(0), builder.ints(1)]);
    return builder.op("Reshape", [value, this.#sizes(batch, -1, outFeatures)]);
  }

  /** Copies of each channel, shifted to each place of the kernel: a convolution, channel by channel, with kernels of one 1. */
  #unfolded({ node, kernel = [] }: Site, x: string, channels: number): string {
    const size = elementCount(kernel);
    const ones = Array.from({ length: channels * size * size }, (_, i) =>
      Number(i % size === Math.floor(i / size) % size),
    );
    const copies = this.#builder.constant("float32", ones, [channels * size, 1, ...kernel]);
    const { strides, pads, dilations, auto_pad } = node.attributes;
    const given = Object.entries({ strides, pads, dilations, auto_pad }).filter(([, value]) => value !== undefined);
    const window = Object.fromEntries(given) as Record<string, AttributeValue>;
    return this.#once("Conv", [x, copies], { ...window, group: channels, kernel_shape: kernel });
  }

  /**
   * -x in float32, of an x in 16 bits. Where a CPU computes in float32 instead, onnxruntime leaves rounding out between
   * nodes that it does so for, which a Cast is not: one behind x itself would round what the model alone does not.
   */
  #negativeOf(x: string): string {
    return this.#once("Cast", [this.#once("Neg", [x])], { to: CODES.float32! });
  }

  /** A[row, id] B, gathered from the tables of all rows laid under one another. */
  #embedding(site: Site, loraA: string, loraB: string): { value: string; shaped: boolean } {
    const builder = this.#builder;
    const shared = this.#options.rows === undefined;
    const layout = shared ? undefined : this.#rowsOf(site.input);
    const flat = this.#cut(builder.op("Cast", [site.input], { to: INT64 }), loraA, layout);
    const positive = builder.op("Where", [
      builder.op("Less", [flat, builder.constant("int64", [0], [])]),
      builder.op("Add", [flat, builder.constant("int64", [site.inFeatures], [])]),
      flat,
    ]);
    const ids = shared ? positive : builder.op("Add", [positive, this.#offsets(site, loraA)]);
    const table = shared ? loraA : builder.op("Flatten", [loraA], { axis: 2 });
    const delta = builder.op("MatMul", [builder.op("Gather", [table, ids]), loraB]);
    return { value: this.#joined(delta, layout), shaped: false };
  }

  /** A value as [rows, positions, ...widths]; as [positions, ...widths] for one adapter. */
  #cut(value: string, loraA: string, layout: Rows | undefined, ...widths: number[]): string {
    if (this.#options.rows === undefined) return this.#once("Reshape", [value, this.#builder.ints(-1, ...widths)]);
    if (layout?.axis !== 1) return this.#once("Reshape", [value, this.#sizes(this.#rowCount(loraA), -1, ...widths)]);
    const columns = this.#once("Reshape", [value, this.#sizes(-1, this.#rowCount(loraA), ...widths)]);
    return this.#once("Transpose", [columns], { perm: [1, 0, ...widths.map((_, i) => i + 2)] });
  }

  /** A change [rows, positions, out] in the order of the value that it is made from. */
  #joined(delta: string, layout: Rows | undefined): string {
    return layout?.axis === 1 ? this.#builder.op("Transpose", [delta], { perm: [1, 0, 2] }) : delta;
  }

  /** [rows, 1]: where the table of each row starts. */
  #offsets({ inFeatures }: Site, loraA: string): string {
    const builder = this.#builder;
    const rows = builder.op("Squeeze", [this.#rowCount(loraA)]);
    const zero = builder.constant("int64", [0], []);
    const range = builder.op("Range", [zero, rows, builder.constant("int64", [1], [])]);
    const starts = builder.op("Mul", [range, builder.constant("int64", [inFeatures], [])]);
    return builder.op("Unsqueeze", [starts, builder.ints(1)]);
  }

  /** A node that several sites take: Q, K and V have the same x. */
  #once(op: string, inputs: readonly string[], attributes: Record<string, AttributeValue> = {}): string {
    const key = `${op}(${inputs}) ${JSON.stringify(attributes)}`;
    const known = this.#known.get(key) ?? this.#builder.op(op, inputs, attributes);
    this.#known.set(key, known);
    return known;
  }

  /** A shape of sizes and of vectors that hold some. */
  #sizes(...sizes: (number | string)[]): string {
    const parts = sizes.map((size) => (typeof size === "number" ? this.#builder.ints(size) : size));
    return this.#builder.op("Concat", parts, { axis: 0 });
  }

  #rowCount(loraA: string): string {
    const shape = this.#builder.op("Shape", [loraA]);
    return this.#builder.op("Slice", [shape, this.#builder.ints(0), this.#builder.ints(1)]);
  }

  #shapeAs(value: string, like: string, rank: number | undefined, outFeatures: number): string {
    const shape = rank === 2 ? this.#builder.ints(-1, outFeatures) : this.#builder.op("Shape", [like]);
    return this.#builder.op("Reshape", [value, shape]);
  }

  #cast(value: string, dtype: string): string {
    const to = CODES[dtype];
    if (to !== undefined) return this.#builder.op("Cast", [value], { to });
    const problem = `an adapter's change cannot be added to a value of ${dtype}`;
    throw new OnnxError("unsupported-type", value, problem, "Leave that module out of the targets");
  }

  /** The graph with the written nodes behind the ones that they change. */
  into(graph: Graph): Graph {
    const nodes = graph.nodes.flatMap((node) => {
      const added = this.#added.get(node);
      if (added === undefined) return [node];
      const outputs = node.outputs.map((output) => (output === added.site.output ? added.base : output));
      return [{ ...node, outputs }, ...added.nodes];
    });
    const types = new Map(graph.types);
    for (const { site, base } of this.#added.values()) {
      const type = this.#options.typeOf(site.output);
      if (type !== undefined) types.set(base, type);
    }
    const initializers = new Map([...graph.initializers, ...this.#builder.initializers]);
    return { ...graph, nodes, types, initializers };
  }
}

function refuseRank({ node }: Site): never {
  const remedy = "Leave that module out of the targets";
  throw new OnnxError("unsupported-operator", node.name, "the rank of what its weight multiplies is unknown", remedy);
}

const INT64 = 7;

/** Element types that activations come in, as TensorProto.DataType numbers them. */
const CODES: Readonly<Record<string, number>> = { float32: 1, float16: 10, float64: 11, bfloat16: 16 };
