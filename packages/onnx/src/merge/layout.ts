import type { Links } from "../graft/links.js";
import type { Site } from "../graft/sites.js";
import { isOnTheWay, weightOf } from "../graft/weight.js";
import { intOf } from "../graph/attributes.js";
import { elementCount } from "../graph/dtype.js";
import type { Node } from "../graph/ir.js";
import { usesOf } from "../graph/order.js";

/** How a module's weight lies in the tensor that holds it. */
export interface Layout {
  /** The stored elements as a matrix. */
  readonly rows: number;
  readonly columns: number;
  /** Whether its rows are the module's inputs. */
  readonly isInOut: boolean;
  /** The node that dequantises it on its way; undefined for floats. */
  readonly dequantise: Node | undefined;
}

/** The input of a site's node that the weight comes in by. */
export function weightInput({ node, isLeft }: Site): number {
  return node.op === "Gather" || node.op === "GatherBlockQuantized" || isLeft ? 0 : 1;
}

/**
 * Follows a weight from its node back to the tensor. Transposed matrices exchange their sides; other shapes of the same elements do not
 * matter. Undefined where something else is done to it.
 */
export function layoutOf(links: Links, site: Site): Layout | undefined {
  const { node, kind, isLeft, inFeatures, outFeatures } = site;
  let isInOut = kind !== "conv" && !isLeft && intOf(node.attributes, "transB", 0) === 0;
  let dequantise: Node | undefined;
  for (let value = node.inputs[weightInput(site)]!; value !== site.weight; ) {
    const producer = links.producer(value);
    if (producer === undefined || producer.domain !== "") return undefined;
    if (producer.op === "DequantizeLinear") dequantise = producer;
    else if (producer.op === "Transpose") {
      if (weightOf(links, producer.inputs[0]!)?.dims.length !== 2) return undefined;
      isInOut = !isInOut;
    } else if (!/^(Identity|Cast|CastLike|Reshape|Squeeze|Unsqueeze|Flatten)$/.test(producer.op)) return undefined;
    value = producer.inputs[0]!;
  }
  const [rows, columns] = isInOut ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
  const whole = links.constant(site.weight);
  if (whole === undefined || elementCount(whole.dims) !== rows * columns) return undefined;
  return { rows, columns, isInOut, dequantise };
}

/** The nodes that compute with a weight, whatever it goes through before; also those in whose branches something does. */
export function usersOf(links: Links, weight: string): ReadonlySet<Node> {
  const users = new Set<Node>();
  const queue = [weight];
  const holders = links.graph.nodes.filter(({ attributes }) =>
    Object.values(attributes).some(({ kind }) => kind === "graph"),
  );
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    for (const node of holders) if (usesOf(node).has(value)) users.add(node);
    for (const node of links.consumers(value)) {
      if (isOnTheWay(node) && weightOf(links, node.outputs[0]!)?.source === weight) queue.push(node.outputs[0]!);
      else users.add(node);
    }
  }
  return users;
}
