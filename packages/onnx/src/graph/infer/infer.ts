import { constantsOf, numbersOf } from "../constants.js";
import { symbol } from "../dim.js";
import type { Dim, Graph, Model, Node, Tensor, TensorType } from "../ir.js";
import { mapGraphs } from "../verbs.js";
import type { InferenceContext, KnownInts } from "./context.js";
import { knownOfTensor, propagate } from "./known.js";
import { inferenceOf } from "./table.js";

/** A graph with types, and the integers that its values are known to hold. */
export interface Inferred {
  readonly graph: Graph;
  readonly known: ReadonlyMap<string, KnownInts>;
}

/**
 * Types of all values of a graph, as far as they follow from the types of its inputs: sizes are expressions over the symbols
 * of the inputs (`dim.ts`), and the integers with which exporters compute shapes are followed element by element. What a rule
 * does not know, or does not expect, is unknown; nothing is refused.
 *
 * @param opsets version by domain
 */
export function inferGraph(graph: Graph, opsets: ReadonlyMap<string, number>): Inferred {
  return new Scope(opsets).walk(graph);
}

/** The model with types. @see inferGraph */
export function inferTypes(model: Model): Model {
  return { ...model, graph: inferGraph(model.graph, model.opsets).graph };
}

class Scope {
  readonly #opsets: ReadonlyMap<string, number>;
  readonly #outer: Scope | undefined;
  readonly #types = new Map<string, TensorType>();
  readonly #known = new Map<string, KnownInts>();
  #constants: ReadonlyMap<string, Tensor> = new Map();

  constructor(opsets: ReadonlyMap<string, number>, outer?: Scope) {
    this.#opsets = opsets;
    this.#outer = outer;
  }

  /** @param inputs types of the graph's inputs where they come from around it */
  walk(graph: Graph, inputs: readonly (TensorType | undefined)[] = []): Inferred {
    this.#constants = constantsOf(graph);
    for (const [index, { name, type }] of graph.inputs.entries()) this.#setType(name, type ?? inputs[index]);
    for (const [name, tensor] of graph.initializers) {
      this.#setType(name, { dtype: tensor.dtype, shape: tensor.dims });
      this.#setKnown(name, knownOfTensor(tensor));
    }
    const nodes = graph.nodes.map((node) => this.#visit(node, graph));
    const outputs = graph.outputs.map((output) => ({ ...output, type: this.type(output.name) ?? output.type }));
    return { graph: { ...graph, nodes, outputs, types: this.#types }, known: this.#known };
  }

  type(name: string): TensorType | undefined {
    return this.#types.get(name) ?? this.#outer?.type(name);
  }

  known(name: string): KnownInts | undefined {
    return this.#known.get(name) ?? this.#outer?.known(name);
  }

  constant(name: string): Tensor | undefined {
    return this.#constants.get(name) ?? this.#outer?.constant(name);
  }

  #visit(node: Node, graph: Graph): Node {
    const inner = new Map<Graph, Graph>();
    const context = this.#contextOf(node, inner);
    const types = this.#infer(context);
    const known = propagate(context);
    for (const [index, name] of node.outputs.entries()) {
      if (name === "") continue;
      this.#setType(name, refine(types[index], graph.types.get(name)));
      this.#setKnown(name, known[index]);
    }
    if (inner.size === 0) return node;
    return { ...node, attributes: mapGraphs(node.attributes, (each) => inner.get(each) ?? each) };
  }

  #infer(context: InferenceContext): readonly (TensorType | undefined)[] {
    try {
      return inferenceOf(context.node.op, context.node.domain)?.(context) ?? [];
    } catch {
      return [];
    }
  }

  #contextOf(node: Node, inner: Map<Graph, Graph>): InferenceContext {
    return {
      node,
      opset: this.#opsets.get(node.domain) ?? 1,
      inputs: node.inputs.map((name) => this.type(name)),
      known: (input) => this.known(node.inputs[input] ?? ""),
      numbers: (input) => numbersOf(this.constant(node.inputs[input] ?? "")),
      inner: (attribute, inputs) => {
        const value = node.attributes[attribute];
        if (value?.kind !== "graph") return undefined;
        const { graph } = new Scope(this.#opsets, this).walk(value.value, inputs);
        inner.set(value.value, graph);
        return graph.outputs.map(({ type }) => type);
      },
    };
  }

  #setType(name: string, type: TensorType | undefined): void {
    if (type === undefined) return;
    const isShort = type.shape?.every((dim) => !isLong(dim)) !== false;
    this.#types.set(
      name,
      isShort ? type : { ...type, shape: type.shape?.map((dim, axis) => shortened(dim, name, axis)) },
    );
  }

  #setKnown(name: string, known: KnownInts | undefined): void {
    if (known === undefined) return;
    const data = known.data.map((each) => (each !== undefined && isLong(each) ? undefined : each));
    if (data.length === 0 || data.some((each) => each !== undefined)) this.#known.set(name, { dims: known.dims, data });
  }
}

/** Characters of an expression that says something; one that grows from layer to layer would double each time. */
const LONGEST = 200;

function isLong(dim: Dim): boolean {
  return typeof dim === "string" && dim.length > LONGEST;
}

function shortened(dim: Dim, name: string, axis: number): Dim {
  return isLong(dim) ? symbol(`${name}:${axis}`) : dim;
}

/** What was inferred; what the file says where even the rank was not. */
function refine(inferred: TensorType | undefined, told: TensorType | undefined): TensorType | undefined {
  return inferred?.shape === undefined ? (told ?? inferred) : inferred;
}
