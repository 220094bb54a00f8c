import { OnnxError } from "../base/errors.js";
import { GraphBuilder } from "../graph/builder.js";
import { constantsOf, numbersOf } from "../graph/constants.js";
import type { Graph, Model, Node, Tensor, TensorType } from "../graph/ir.js";
import { valueNames } from "../graph/verbs.js";
import { rowOf } from "./table.js";

/** One reverse walk over a path: collects dLoss/dValue by value, and the nodes that compute them. */
export class Derivation {
  /** The node whose rule is being applied. */
  current: Node | undefined;
  readonly #graph: Graph;
  readonly #active: ReadonlySet<string>;
  readonly #builder: GraphBuilder;
  readonly #shares = new Map<string, string[]>();
  readonly #extended = new Map<Node, string[]>();
  readonly #constants: ReadonlyMap<string, Tensor>;
  readonly #guards: ReadonlyMap<string, string>;

  /**
   * @param active the values on the path
   * @param known constants that are computed
   */
  constructor(graph: Graph, active: ReadonlySet<string>, known: ReadonlyMap<string, Tensor>) {
    this.#graph = graph;
    this.#active = active;
    const names = valueNames(graph);
    this.#builder = new GraphBuilder("grad/", (name) => names.has(name));
    this.#constants = new Map([...known, ...constantsOf(graph)]);
    this.#guards = guardsOf(graph, this.#constants);
  }

  /** @returns the gradient's name by value of `wrt` */
  run(path: readonly Node[], seeds: string | ReadonlyMap<string, string>, wrt: readonly string[]): Map<string, string> {
    if (typeof seeds === "string") this.#share(seeds, this.#ones(seeds));
    else for (const [value, seed] of seeds) if (this.#active.has(value)) this.#share(value, seed);
    for (const node of path.toReversed()) this.#differentiate(node);
    this.current = undefined;
    const sums = wrt.flatMap((value) => {
      const gradient = this.#sum(value);
      return gradient === undefined ? [] : [[value, gradient] as const];
    });
    const free = new Set(this.#builder.nodes.flatMap(({ outputs }) => outputs));
    return new Map(sums.map(([value, sum]) => [value, free.delete(sum) ? sum : this.#named(value, sum)]));
  }

  /** The model with what was derived, and the gradients as further outputs. */
  finish(model: Model, gradients: ReadonlyMap<string, string>): Model {
    const { graph } = model;
    const forward = graph.nodes.map((node) => {
      const outputs = this.#extended.get(node);
      return outputs ? { ...node, outputs } : node;
    });
    const outputs = [...gradients].map(([value, name]) => {
      const dtype = this.#typeOf(value)?.dtype === "float64" ? "float64" : "float32";
      return { name, type: { dtype, shape: undefined } } as const;
    });
    return {
      ...model,
      graph: {
        ...graph,
        nodes: [...forward, ...this.#builder.nodes],
        initializers: new Map([...graph.initializers, ...this.#builder.initializers]),
        outputs: [...graph.outputs, ...outputs],
      },
    };
  }

  #differentiate(node: Node): void {
    const gradients = node.outputs.map((output) => (this.#active.has(output) ? this.#sum(output) : undefined));
    if (gradients.every((gradient) => gradient === undefined)) return;
    if (this.#guards.get(node.inputs[2] ?? "") === node.outputs[0]) {
      this.#share(node.inputs[2]!, gradients[0]!);
      return;
    }
    this.current = node;
    const row = rowOf(node);
    if (typeof row !== "function") return;
    const wanted = (input: number) => this.#active.has(node.inputs[input] ?? "");
    const guard = this.#guards.get(node.outputs[0]!);
    const shares = row({
      node: guard === undefined ? node : { ...node, outputs: [guard] },
      builder: this.#builder,
      gradients,
      wanted,
      typeOf: (value) => this.#typeOf(value),
      constantOf: (value) => this.#constants.get(value),
      output: (index) => this.#output(node, index),
    });
    for (const [i, share] of shares.entries())
      if (share !== undefined && wanted(i)) this.#share(node.inputs[i]!, share);
  }

  #share(value: string, gradient: string): void {
    const shares = this.#shares.get(value);
    if (shares) shares.push(gradient);
    else this.#shares.set(value, [gradient]);
  }

  /**
   * The sum of a value's gradients, which is taken once, when every node that uses the value has been seen: by Add, which
   * onnxruntime computes on all threads, as it does not Sum.
   */
  #sum(value: string): string | undefined {
    const shares = this.#shares.get(value);
    if (shares === undefined || shares.length < 2) return shares?.[0];
    const sum = shares.reduce((total, share) => this.#builder.op("Add", [total, share]));
    this.#shares.set(value, [sum]);
    return sum;
  }

  /** A name of its own for a gradient that is another output already, or an input of the graph. */
  #named(value: string, gradient: string): string {
    const name = this.#builder.fresh(value);
    this.#builder.add({ name, op: "Identity", domain: "", inputs: [gradient], outputs: [name], attributes: {} });
    return name;
  }

  /** dLoss/dLoss in the loss's own shape. */
  #ones(loss: string): string {
    const type = this.#typeOf(loss);
    const dims = type?.shape;
    if (dims?.some((dim) => dim !== 1)) {
      const problem = `it has shape [${dims.join(", ")}] and a loss has one element`;
      throw new OnnxError("shape-mismatch", `loss ${JSON.stringify(loss)}`, problem, "Sum it, or give seeds");
    }
    const dtype = type?.dtype === "float64" ? "float64" : "float32";
    if (dims) return this.#builder.constant(dtype, [1], [...(dims as readonly number[])]);
    return this.#builder.op("Expand", [this.#builder.constant(dtype, [1], []), this.#builder.op("Shape", [loss])]);
  }

  #typeOf(value: string): TensorType | undefined {
    const known = this.#graph.types.get(value);
    if (known) return known;
    const constant = this.#constants.get(value);
    return constant && { dtype: constant.dtype, shape: constant.dims };
  }

  #output(node: Node, index: number): string {
    const outputs = this.#extended.get(node) ?? [...node.outputs];
    while (outputs.length <= index) outputs.push("");
    outputs[index] ||= this.#builder.fresh(`${node.op}_output`);
    this.#extended.set(node, outputs);
    return outputs[index]!;
  }
}

/**
 * By softmax, the value without the NaN of rows in which nothing may be attended to: torch exports `Where(IsNaN(s), 0, s)`.
 * The derivative is that of `s` elsewhere and 0 there: that of softmax written with the guarded value, which is 0 there.
 */
function guardsOf({ nodes }: Graph, constants: ReadonlyMap<string, Tensor>): ReadonlyMap<string, string> {
  const isZero = (value: string) => numbersOf(constants.get(value))?.every((number) => number === 0) === true;
  const softmaxes = new Set(nodes.flatMap(({ op, outputs }) => (op === "Softmax" ? outputs : [])));
  const tests = new Map(
    nodes.flatMap(({ op, inputs, outputs }) => (op === "IsNaN" ? [[outputs[0]!, inputs[0]!]] : [])),
  );
  return new Map(
    nodes.flatMap(({ op, inputs, outputs }) => {
      const guarded = op === "Where" && isZero(inputs[1]!) ? tests.get(inputs[0]!) : undefined;
      return guarded !== undefined && guarded === inputs[2] && softmaxes.has(guarded) ? [[guarded, outputs[0]!]] : [];
    }),
  );
}
