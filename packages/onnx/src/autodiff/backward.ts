import { OnnxError } from "../base/errors.js";
import type { Graph, Model, Node } from "../graph/ir.js";
import { usesOf } from "../graph/order.js";
import { valueNames } from "../graph/verbs.js";
import { Derivation } from "./derivation.js";
import { prepare } from "./prepare.js";
import { type Reach, reach } from "./reach.js";
import { rowOf } from "./table.js";

/** What to differentiate, by whom. */
export interface BackwardRequest {
  /** The loss, a value of one element; or dLoss/dValue by value, where the caller has them. */
  readonly seeds: { readonly loss: string } | ReadonlyMap<string, string>;
  /** The values whose gradients are asked for: inputs of the graph, initializers, or anything computed. */
  readonly wrt: readonly string[];
}

/** Why a gradient is not given. */
export type NoGradient =
  /** No path along which a derivative flows leads to the loss; the gradient is zero. */
  | { readonly reason: "unreachable" }
  /** A path to the loss goes through a node that has no rule. */
  | {
      readonly reason: "cut-off";
      readonly node: string;
      readonly op: string;
      readonly domain: string;
      readonly problem: string;
    };

/** The nodes of a backward pass, and where its results are. */
export interface Backward {
  /** The model with the gradients as outputs, in the order of `wrt`; contrib operators on the way are lowered. */
  readonly model: Model;
  /** The name of the output that holds a gradient, by value; float32 where the model computes in 16 bits. */
  readonly gradients: ReadonlyMap<string, string>;
  /** The values without a gradient, and why. */
  readonly missing: ReadonlyMap<string, NoGradient>;
}

/**
 * Adds the gradients of a loss to a model: reverse mode, over the paths between `wrt` and the loss alone, in standard
 * operators of opset 20 or the model's own. A node without a rule cuts off what is below it, and no more than that.
 *
 * @throws OnnxError `unknown-value` for a loss, seed or `wrt` that the graph has not
 */
export function backward(model: Model, request: BackwardRequest): Backward {
  const seeds = request.seeds instanceof Map ? (request.seeds as ReadonlyMap<string, string>) : undefined;
  const ends = seeds ? [...seeds.keys()] : [(request.seeds as { readonly loss: string }).loss];
  checkValues(model.graph, [...request.wrt, ...ends, ...(seeds?.values() ?? [])]);
  const prepared = prepare(model, request.wrt, ends);
  const refused = new Map<Node, string>(prepared.refused);
  for (;;) {
    const { wrt, missing, path } = reachable(prepared.model.graph, request.wrt, ends, refused);
    const derivation = new Derivation(prepared.model.graph, path.values, prepared.constants);
    try {
      const gradients = derivation.run(path.nodes, seeds ?? ends[0]!, wrt);
      return { model: prepared.expand(derivation.finish(prepared.model, gradients)), gradients, missing };
    } catch (error) {
      if (!(error instanceof OnnxError && error.code === "unsupported-operator") || !derivation.current) throw error;
      refused.set(derivation.current, error.message);
    }
  }
}

function checkValues(graph: Graph, values: readonly string[]): void {
  const known = valueNames(graph);
  const unknown = values.find((value) => value === "" || !known.has(value));
  if (unknown === undefined) return;
  const where = `value ${JSON.stringify(unknown)}`;
  throw new OnnxError("unknown-value", where, "the graph has no such value", "Name an input or an output of a node");
}

interface Reachable {
  readonly wrt: readonly string[];
  readonly missing: ReadonlyMap<string, NoGradient>;
  readonly path: Reach;
}

/** The values whose every path to the loss has rules, and why the others are none of them. */
function reachable(
  graph: Graph,
  asked: readonly string[],
  ends: readonly string[],
  refused: ReadonlyMap<Node, string>,
): Reachable {
  const missing = new Map<string, NoGradient>();
  let wrt = [...new Set(asked)];
  for (;;) {
    const path = reach(graph, wrt, ends);
    const cut = cutOff(path, refused);
    for (const value of wrt) {
      const by = cut.get(value);
      if (by) missing.set(value, by);
      else if (!path.values.has(value)) missing.set(value, { reason: "unreachable" });
    }
    if (!wrt.some((value) => missing.has(value))) return { wrt, missing, path };
    wrt = wrt.filter((value) => !missing.has(value));
  }
}

/** The nodes without a rule, by the values on a path that leads through them; the lowest node where there are several. */
function cutOff({ nodes, values }: Reach, refused: ReadonlyMap<Node, string>): Map<string, NoGradient> {
  const cut = new Map<string, NoGradient>();
  for (const node of nodes.toReversed()) {
    const above = node.outputs.map((output) => cut.get(output)).find((reason) => reason !== undefined);
    const reason = reasonOf(node, refused) ?? above;
    if (reason === undefined) continue;
    for (const input of usesOf(node)) if (values.has(input)) cut.set(input, reason);
  }
  return cut;
}

function reasonOf(node: Node, refused: ReadonlyMap<Node, string>): NoGradient | undefined {
  const problem = refused.get(node) ?? (rowOf(node) === "unsupported" ? "this operator has no rule" : undefined);
  if (problem === undefined) return undefined;
  const name = node.name || (node.outputs.find(Boolean) ?? "");
  return { reason: "cut-off", node: name, op: node.op, domain: node.domain, problem };
}
