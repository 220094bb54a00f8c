import { intOf } from "../attributes.js";
import { unsupported } from "../unsupported.js";
import { headSize, mergeHeads, range, splitHeads } from "./lower-attention.js";
import type { Lowering, Tools } from "./lowering.js";

/** How positions turn a head: by pairs (x[2i], x[2i+1]), or (x[i], x[i + half]). */
export interface Rotation {
  /** [batch or 1, 1, sequence, half] */
  readonly cos: string;
  readonly sin: string;
  readonly interleaved: boolean;
  /** Dimensions that turn, if known, and of how many. */
  readonly turning: number | undefined;
  readonly size: number | undefined;
}

/** x [batch, heads, sequence, size] turned in its first dimensions. Source: Su et al. 2021, RoFormer, equation 34 */
export function rotate(tools: Tools, x: string, rotation: Rotation): string {
  const { turning, size } = rotation;
  if (turning !== undefined && turning === size) return turn(tools, x, rotation);
  const half = tools.op("Shape", [rotation.cos], { start: -1 });
  const first = turning === undefined ? tools.op("Add", [half, half]) : tools.ints(turning);
  const cut = (from: string, to: string) => tools.op("Slice", [x, from, to, tools.ints(-1)]);
  const turned = turn(tools, cut(tools.ints(0), first), rotation);
  return tools.op("Concat", [turned, cut(first, tools.ints(Number.MAX_SAFE_INTEGER))], { axis: -1 });
}

function turn(tools: Tools, x: string, { cos, sin, interleaved }: Rotation): string {
  const op: Tools["op"] = (...rest) => tools.op(...rest);
  const pairs = interleaved
    ? op("Reshape", [x, op("Concat", [op("Shape", [x], { end: 3 }), tools.ints(-1, 2)], { axis: 0 })])
    : x;
  const [a, b] = tools.builder.ops("Split", [pairs], 2, { axis: -1, num_outputs: 2 }) as [string, string];
  const [left, right] = interleaved ? [a, b].map((part) => op("Squeeze", [part, tools.ints(-1)])) : [a, b];
  const first = op("Sub", [op("Mul", [left!, cos]), op("Mul", [right!, sin])]);
  const second = op("Add", [op("Mul", [right!, cos]), op("Mul", [left!, sin])]);
  if (!interleaved) return op("Concat", [first, second], { axis: -1 });
  const columns = [first, second].map((part) => op("Unsqueeze", [part, tools.ints(-1)]));
  return op("Reshape", [op("Concat", columns, { axis: -1 }), op("Shape", [x])]);
}

/** The rows of a cache for positions [batch or 1, sequence], as [batch or 1, 1, sequence, half]. */
export function cacheRows(tools: Tools, cache: string, positions: string): string {
  return tools.op("Unsqueeze", [tools.op("Gather", [cache, positions], { axis: 0 }), tools.ints(1)]);
}

/** com.microsoft.RotaryEmbedding: x [batch, sequence, hidden] or [batch, heads, sequence, size]. Source: ContribOperators.md */
export const rotaryEmbedding: Lowering = (tools) => {
  const [x, positionIds, cosCache, sinCache] = [0, 1, 2, 3].map((i) => tools.input(i)) as [
    string,
    string,
    string,
    string,
  ];
  const rank = tools.rankOf(x);
  const half = tools.sizeOf(cosCache, -1);
  const partial = tools.attribute("rotary_embedding_dim", 0);
  if (intOf(tools.node.attributes, "is_packed_batching", 0) !== 0) throw unsupported(tools.node, "no rule for packing");
  if (rank === undefined) throw unsupported(tools.node, "the rank of its input is unknown");
  const heads = headsOf(tools, x, partial || undefined, half);
  const split = rank === 3 ? splitHeads(tools, x, heads) : x;
  const sequence = tools.op("Shape", [split], { start: 2, end: 3 });
  const positions = contribPositions(tools, positionIds, sequence);
  const size = rank === 3 ? headSize(tools, x, heads) : tools.sizeOf(x, -1);
  const result = rotate(tools, split, {
    cos: cacheRows(tools, cosCache, positions),
    sin: cacheRows(tools, sinCache, positions),
    interleaved: tools.attribute("interleaved", 0) === 1,
    turning: half === undefined ? undefined : 2 * half,
    size,
  });
  return [rank === 3 ? mergeHeads(tools, result, tools.sizeOf(x, -1)) : result];
};

function headsOf(tools: Tools, x: string, partial: number | undefined, half: number | undefined): number {
  const given = tools.attribute("num_heads", 0);
  if (given > 0) return given;
  const hidden = tools.sizeOf(x, -1);
  if (tools.rankOf(x) === 4) return 1;
  if (hidden === undefined || half === undefined || partial) throw unsupported(tools.node, "num_heads is unknown");
  return hidden / (2 * half);
}

/** Positions [batch, sequence]; a single one is that of the first element. */
function contribPositions(tools: Tools, ids: string, sequence: string): string {
  const rank = tools.rankOf(ids);
  if (rank === undefined) throw unsupported(tools.node, "the rank of position_ids is unknown");
  if (rank === 2) return ids;
  return tools.op("Unsqueeze", [tools.op("Add", [range(tools, sequence), ids]), tools.ints(0)]);
}

/** RotaryEmbedding of opset 23: caches by position, or [batch, sequence, half] already. */
export const standardRotaryEmbedding: Lowering = (tools) => {
  const [x, cosCache, sinCache, positionIds] = [0, 1, 2, 3].map((i) => tools.input(i)) as [
    string,
    string,
    string,
    string,
  ];
  const rank = tools.rankOf(x);
  if (rank === undefined) throw unsupported(tools.node, "the rank of its input is unknown");
  const heads = tools.attribute("num_heads", 0);
  if (rank === 3 && heads === 0) throw unsupported(tools.node, "num_heads is missing");
  const rows = (cache: string) =>
    positionIds ? cacheRows(tools, cache, positionIds) : tools.op("Unsqueeze", [cache, tools.ints(1)]);
  const half = tools.sizeOf(cosCache, -1);
  const split = rank === 3 ? splitHeads(tools, x, heads) : x;
  const result = rotate(tools, split, {
    cos: rows(cosCache),
    sin: rows(sinCache),
    interleaved: tools.attribute("interleaved", 0) === 1,
    turning: half === undefined ? undefined : 2 * half,
    size: rank === 3 ? headSize(tools, x, heads) : tools.sizeOf(x, -1),
  });
  return [rank === 3 ? mergeHeads(tools, result, tools.sizeOf(x, -1)) : result];
};
