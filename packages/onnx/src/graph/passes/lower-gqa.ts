import { unsupported } from "../unsupported.js";
import {
  afterPast,
  asBias,
  attend,
  defaultScale,
  mergeHeads,
  range,
  repeatHeads,
  splitHeads,
} from "./lower-attention.js";
import { cacheRows, type Rotation, rotate } from "./lower-rotary.js";
import type { Lowering, Tools } from "./lowering.js";

/** Heads of a GroupQueryAttention node, and the size of one where it is known. */
interface Heads {
  readonly query: number;
  readonly keyValue: number;
  readonly size: number | undefined;
}

/**
 * com.microsoft.GroupQueryAttention: causal, with fewer key and value heads than query heads, Q, K and V packed or not,
 * rotary inside, past keys, a local window, softcap, head sinks. Source: ContribOperators.md; onnxruntime's gqa_attention_base.h
 */
export const groupQueryAttention: Lowering = (tools) => {
  refuse(tools);
  const heads = headsOf(tools);
  const [query, newKey, newValue] = projections(tools, heads);
  const [pastKey, pastValue] = [tools.input(3), tools.input(4)];
  const sequence = tools.dim(tools.input(0), 1);
  const start = startOf(tools, sequence);
  const rotation = tools.attribute("do_rotary", 0) === 1 ? rotationOf(tools, heads, start, sequence) : undefined;
  const turn = (value: string) => (rotation ? rotate(tools, value, rotation) : value);
  const key = afterPast(tools, pastKey, turn(newKey));
  const value = afterPast(tools, pastValue, newValue);
  const scale = tools.attribute("scale", 0);
  const bias = tools.input(10);
  const result = attend(tools, {
    query: turn(query),
    key: repeatHeads(tools, key, heads.query, heads.keyValue),
    value: repeatHeads(tools, value, heads.query, heads.keyValue),
    scale: scale === 0 ? defaultScale(tools, query, heads.size) : tools.scalar(scale),
    biases: [asBias(tools, allowed(tools, start, sequence)), ...(bias ? [bias] : [])],
    softcap: tools.attribute("softcap", 0),
    sink: sinkOf(tools),
  });
  const hidden = heads.size === undefined ? undefined : heads.size * heads.query;
  return [mergeHeads(tools, result, hidden), key, value];
};

function refuse(tools: Tools): void {
  const { node } = tools;
  if (tools.gives(3)) throw unsupported(node, "no rule for the scores as an output");
  if (tools.input(12) || tools.attribute("kv_cache_bit_width", 0) > 0)
    throw unsupported(node, "its cache is quantised");
}

function headsOf(tools: Tools): Heads {
  const query = tools.attribute("num_heads", 0);
  const keyValue = tools.attribute("kv_num_heads", 0);
  if (!(query > 0 && keyValue > 0)) throw unsupported(tools.node, "num_heads or kv_num_heads is missing");
  const hidden = tools.sizeOf(tools.input(0), -1);
  const packed = tools.input(1) === "";
  const size =
    hidden === undefined ? tools.sizeOf(tools.input(3), -1) : hidden / (packed ? query + 2 * keyValue : query);
  return { query, keyValue, size };
}

/** Q, K and V as [batch, heads, sequence, size]. */
function projections(tools: Tools, { query, keyValue, size }: Heads): readonly [string, string, string] {
  const [q, k, v] = [tools.input(0), tools.input(1), tools.input(2)];
  if (k !== "")
    return [
      splitHeads(tools, q, query, size),
      splitHeads(tools, k, keyValue, size),
      splitHeads(tools, v, keyValue, size),
    ];
  const all = splitHeads(tools, q, query + 2 * keyValue, size);
  const sizes = tools.ints(query, keyValue, keyValue);
  return tools.builder.ops("Split", [all, sizes], 3, { axis: 1 }) as unknown as [string, string, string];
}

/** How many keys each row has before the first query, int64 [batch, 1, 1, 1]: none in a prompt, which may be padded on the right. */
function startOf(tools: Tools, sequence: string): string {
  const total = tools.builder.cast(tools.op("Reshape", [tools.input(5), tools.ints(-1, 1, 1, 1)]), "int64");
  const ends = tools.op("Add", [total, tools.ints(1)]);
  const longest = tools.builder.cast(tools.op("Reshape", [tools.input(6), tools.ints(1)]), "int64");
  const isPrompt = tools.op("Equal", [longest, sequence]);
  return tools.op("Where", [isPrompt, tools.ints(0), tools.op("Sub", [ends, sequence])]);
}

function rotationOf(tools: Tools, { size }: Heads, start: string, sequence: string): Rotation {
  const [cos, sin, given] = [tools.input(7), tools.input(8), tools.input(9)];
  const half = tools.sizeOf(cos, -1);
  const first = tools.op("Reshape", [start, tools.ints(-1, 1)]);
  const positions = given || tools.op("Add", [range(tools, sequence), first]);
  return {
    cos: cacheRows(tools, cos, positions),
    sin: cacheRows(tools, sin, positions),
    interleaved: tools.attribute("rotary_interleaved", 0) === 1,
    turning: half === undefined ? undefined : 2 * half,
    size,
  };
}

/** Whether a query may look at a key, [batch, 1, queries, keys]: past ones that are there, new ones no later, both within the window. */
function allowed(tools: Tools, start: string, sequence: string): string {
  const past = tools.input(3);
  const op: Tools["op"] = (...rest) => tools.op(...rest);
  const rows = op("Unsqueeze", [range(tools, sequence), tools.ints(1)]);
  const newKeys = range(tools, sequence);
  const isNew = op("LessOrEqual", [newKeys, rows]);
  const window = tools.attribute("local_window_size", -1);
  const positions = op("Add", [rows, start]);
  const near = (keys: string) => op("Less", [op("Sub", [positions, keys]), tools.ints(window)]);
  const newAllowed = window > 0 ? op("And", [isNew, near(op("Add", [newKeys, start]))]) : isNew;
  if (past === "") return newAllowed;
  const pastKeys = range(tools, tools.dim(past, 2));
  const isPast = op("Less", [pastKeys, start]);
  const pastAllowed = window > 0 ? op("And", [isPast, near(pastKeys)]) : isPast;
  const shape = (keys: string) =>
    op("Concat", [op("Shape", [start], { end: 2 }), sequence, op("Shape", [keys])], { axis: 0 });
  const parts = [op("Expand", [pastAllowed, shape(pastKeys)]), op("Expand", [newAllowed, shape(newKeys)])];
  return op("Concat", parts, { axis: 3 });
}

/** A score of 0 beside the keys' (smooth softmax), or one a head. */
function sinkOf(tools: Tools): string | undefined {
  const given = tools.input(11);
  if (given) return tools.op("Reshape", [given, tools.ints(1, -1, 1, 1)]);
  return tools.attribute("smooth_softmax", 0) === 1
    ? tools.op("Reshape", [tools.scalar(0), tools.ints(1, 1, 1, 1)])
    : undefined;
}
