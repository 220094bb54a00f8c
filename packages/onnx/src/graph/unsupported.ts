import { OnnxError } from "../base/errors.js";
import type { Node } from "./ir.js";

/** The error by which a rule or a lowering says that it does not cover a node. */
export function unsupported(node: Node, problem: string): OnnxError {
  const op = node.domain === "" ? node.op : `${node.domain}.${node.op}`;
  const where = `node ${JSON.stringify(node.name)} (${op})`;
  return new OnnxError("unsupported-operator", where, problem, "Adapt modules above this node, or export without it");
}
