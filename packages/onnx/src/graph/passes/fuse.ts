import { intOf, intsOf } from "../attributes.js";
import { toAttributes } from "../builder.js";
import { constantsOf, numbersOf } from "../constants.js";
import type { Attributes, Graph, Model, Node, Shape, Tensor } from "../ir.js";
import { producersOf } from "../verbs.js";
import { joinSlices } from "./join-slices.js";

/** One node for many, and the value 1/sigma if it was there among them. */
interface Match {
  readonly node: Node;
  readonly inverse?: Node;
}

/** What exporters write in many nodes as one, by the operator of the last of them. */
const PATTERNS: { readonly [op: string]: readonly ((parts: Parts, node: Node) => Match | undefined)[] } = {
  Add: [layerNormalization],
  Mul: [rmsNormalization, gelu],
};

/** The version of the standard operators that has `Gelu`. */
const OPSET = 20;

/**
 * RMS and layer normalisation, GELU, and slices that make up a whole, in one node each where the exporter wrote many: one
 * has a shorter derivative, and fewer values wait for it in memory. Results differ in their last bits.
 *
 * @param model with types, of opset 20 or later; others stay as they are
 * @param kept values that must go on depending on what they depend on, and being depended on
 */
export function fuse(model: Model, kept: ReadonlySet<string> = new Set()): Fused {
  if ((model.opsets.get("") ?? 0) < OPSET) return { model, expand: (derived) => derived };
  const graph = joinSlices(model.graph);
  const parts = new Parts(graph, kept);
  const written = new Map<string, readonly [Node, Node]>();
  const nodes = graph.nodes.map((node) => {
    const patterns = node.domain === "" && Object.hasOwn(PATTERNS, node.op) ? PATTERNS[node.op]! : [];
    const match = patterns.reduce<Match | undefined>((found, pattern) => found ?? pattern(parts, node), undefined);
    if (match?.inverse !== undefined) written.set(node.outputs[0]!, [node, match.inverse]);
    return match?.node ?? node;
  });
  return { model: { ...model, graph: { ...graph, nodes } }, expand: (derived) => expand(derived, written) };
}

/** A fused model, and how nodes become again what they were once their derivatives are written. */
export interface Fused {
  readonly model: Model;
  /**
   * RMS normalisation as the exporter wrote it: onnxruntime's own sums squares one after the other, which costs gradients
   * a factor of two in accuracy.
   */
  expand(derived: Model): Model;
}

function expand(model: Model, written: ReadonlyMap<string, readonly [Node, Node]>): Model {
  const nodes = model.graph.nodes.flatMap((node) => {
    const [normal, inverse] = written.get(node.outputs[0]!) ?? [];
    if (normal === undefined || inverse === undefined) return [node];
    const [, output] = node.outputs;
    return output ? [normal, { ...inverse, name: output, outputs: [output] }] : [normal];
  });
  return { ...model, graph: { ...model.graph, nodes } };
}

type Pair = readonly [string, string];

/** What the values of a graph are made of. */
class Parts {
  readonly #graph: Graph;
  readonly #kept: ReadonlySet<string>;
  readonly #producers: ReadonlyMap<string, Node>;
  readonly #constants: ReadonlyMap<string, Tensor>;

  constructor(graph: Graph, kept: ReadonlySet<string>) {
    this.#graph = graph;
    this.#kept = kept;
    this.#producers = producersOf(graph);
    this.#constants = constantsOf(graph);
  }

  /** The inputs of the operator that makes a value; undefined if another one does. */
  of(value: string, op: string): Node | undefined {
    const node = this.#kept.has(value) ? undefined : this.#producers.get(value);
    return node?.op === op && node.domain === "" ? node : undefined;
  }

  /** Both orders of the two factors or terms that make a value. */
  eitherOf(value: string, op: string): readonly Pair[] {
    const [a = "", b = ""] = this.of(value, op)?.inputs ?? [];
    return a === "" ? [] : orders(a, b);
  }

  /** The numbers of a constant. */
  numbers(value: string): readonly number[] | undefined {
    return numbersOf(this.#constants.get(value));
  }

  /** Whether a value is one number in every run. */
  is(value: string, number: number): boolean {
    const [only, ...others] = this.numbers(value) ?? [];
    return only !== undefined && others.length === 0 && Math.abs(only - number) <= 1e-6 * Math.abs(number);
  }

  shape(value: string): Shape | undefined {
    return this.#graph.types.get(value)?.shape ?? this.#graph.initializers.get(value)?.dims;
  }

  isFloat(value: string): boolean {
    return (this.#graph.types.get(value) ?? this.#graph.initializers.get(value))?.dtype === "float32";
  }
}

function orders(a: string, b: string): readonly Pair[] {
  const given: Pair = [a, b];
  return a === b ? [given] : [given, [b, a]];
}

function replaced(node: Node, op: string, inputs: readonly string[], attributes: Attributes): Node {
  return { ...node, op, inputs, attributes };
}

/** x / sqrt(mean(x^2) + epsilon) * scale */
function rmsNormalization(parts: Parts, node: Node): Match | undefined {
  for (const [scale, normal] of orders(node.inputs[0]!, node.inputs[1]!)) {
    const found = divided(parts, normal);
    if (found === undefined || !fits(parts, found.value, scale)) continue;
    const attributes = { ...toAttributes({ axis: -1, stash_type: 1 }), epsilon: float(found.epsilon) };
    const fused = replaced(node, "SimplifiedLayerNormalization", [found.value, scale], attributes);
    return { node: fused, inverse: replaced(node, ...found.inverse, {}) };
  }
  return undefined;
}

/** (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + bias */
function layerNormalization(parts: Parts, node: Node): Match | undefined {
  for (const [bias, scaled] of orders(node.inputs[0]!, node.inputs[1]!)) {
    for (const [scale, normal] of parts.eitherOf(scaled, "Mul")) {
      const found = divided(parts, normal);
      const [x = "", mean = ""] = parts.of(found?.value ?? "", "Sub")?.inputs ?? [];
      if (found === undefined || meanOf(parts, mean) !== x || x === "") continue;
      if (!fits(parts, x, scale) || !fits(parts, x, bias)) continue;
      const attributes = { ...toAttributes({ axis: -1 }), epsilon: float(found.epsilon) };
      return { node: replaced(node, "LayerNormalization", [x, scale, bias], attributes) };
    }
  }
  return undefined;
}

function float(value: number) {
  return { kind: "float", value } as const;
}

/** Whether a vector has an element for each of the last dimension of x. */
function fits(parts: Parts, x: string, vector: string): boolean {
  const [shape, own] = [parts.shape(x), parts.shape(vector)];
  return (
    own?.length === 1 && shape !== undefined && own[0] === shape.at(-1) && parts.isFloat(x) && parts.isFloat(vector)
  );
}

interface Divided {
  readonly value: string;
  /** The node that gives 1/sigma. */
  readonly inverse: readonly [op: string, inputs: readonly string[]];
  readonly epsilon: number;
}

/** The value of which one is v / sqrt(mean(v^2) + epsilon). */
function divided(parts: Parts, normal: string): Divided | undefined {
  const [numerator = "", root = ""] = parts.of(normal, "Div")?.inputs ?? [];
  const quotients = [
    { value: numerator, deviation: root, inverse: ["Reciprocal", [root]] as const },
    ...parts.eitherOf(normal, "Mul").map(([value, inverse]) => {
      return { value, deviation: inverseOf(parts, inverse), inverse: ["Identity", [inverse]] as const };
    }),
  ];
  for (const { value, deviation, inverse } of quotients) {
    const variance = parts.of(deviation, "Sqrt")?.inputs[0] ?? "";
    for (const [mean, epsilon] of parts.eitherOf(variance, "Add")) {
      const [number, ...others] = parts.numbers(epsilon) ?? [];
      const isIt = value !== "" && number !== undefined && others.length === 0;
      if (isIt && squareOf(parts, meanOf(parts, mean) ?? "") === value) return { value, inverse, epsilon: number };
    }
  }
  return undefined;
}

/** The value that one is the inverse of. */
function inverseOf(parts: Parts, value: string): string {
  const [one = "", divisor = ""] = parts.of(value, "Div")?.inputs ?? [];
  return (parts.is(one, 1) ? divisor : parts.of(value, "Reciprocal")?.inputs[0]) ?? "";
}

/** What a value is the mean of, over the last dimension, which stays as 1. */
function meanOf(parts: Parts, value: string): string | undefined {
  const node = parts.of(value, "ReduceMean");
  if (node === undefined || intOf(node.attributes, "keepdims", 1) !== 1) return undefined;
  const [x = "", axes = ""] = node.inputs;
  const [axis, ...others] = (axes === "" ? intsOf(node.attributes, "axes") : parts.numbers(axes)) ?? [];
  const rank = parts.shape(x)?.length ?? 0;
  return axis !== undefined && others.length === 0 && (axis === -1 || axis === rank - 1) ? x : undefined;
}

function squareOf(parts: Parts, value: string): string | undefined {
  const [base = "", exponent = ""] = parts.of(value, "Pow")?.inputs ?? [];
  if (parts.is(exponent, 2)) return base;
  const [a, b] = parts.of(value, "Mul")?.inputs ?? [];
  return a === b ? a : undefined;
}

/** x (1 + erf(x / sqrt(2))) / 2, however its three factors are multiplied */
function gelu(parts: Parts, node: Node): Match | undefined {
  for (const [a, b, c] of factorsOf(parts, node)) {
    for (const [x, half] of orders(a, b)) {
      if (!parts.is(half, 0.5) || !parts.isFloat(x) || erfArgument(parts, c) !== x) continue;
      return { node: replaced(node, "Gelu", [x], {}) };
    }
  }
  return undefined;
}

/** Every way in which a value is a product of three, up to the order of the first two. */
function factorsOf(parts: Parts, { inputs }: Node): readonly (readonly [string, string, string])[] {
  return orders(inputs[0]!, inputs[1]!).flatMap(([first, second]) =>
    parts
      .eitherOf(second, "Mul")
      .flatMap(([third, fourth]) => [[first, third, fourth] as const, [third, fourth, first] as const]),
  );
}

/** x where a value is 1 + erf(x / sqrt(2)). */
function erfArgument(parts: Parts, value: string): string | undefined {
  for (const [one, erf] of parts.eitherOf(value, "Add")) {
    const scaled = parts.is(one, 1) ? (parts.of(erf, "Erf")?.inputs[0] ?? "") : "";
    const [x, divisor = ""] = parts.of(scaled, "Div")?.inputs ?? [];
    if (parts.is(divisor, Math.SQRT2)) return x;
    const product = parts.eitherOf(scaled, "Mul").find(([, factor]) => parts.is(factor, Math.SQRT1_2));
    if (product !== undefined) return product[0];
  }
  return undefined;
}
