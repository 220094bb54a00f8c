import type { Model, Node } from "../graph/ir.js";

export interface Prepared {
  readonly model: Model;
  /** Nodes whose lowering was refused, and why. */
  readonly refused: ReadonlyMap<Node, string>;
}

export function prepare(model: Model, _wrt: readonly string[], _ends: readonly string[]): Prepared {
  return { model, refused: new Map() };
}
