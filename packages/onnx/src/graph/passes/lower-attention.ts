import type { Tools } from "./lowering.js";

/** Low enough for a weight of exactly zero, and finite, so that a row without any key stays finite. */
export const MASKED = -1e30;

/** What attention computes with, all of it [batch, heads, sequence, size]. */
export interface Attention {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly scale: string;
  /** Added to the scores, [batch, heads, queries, keys] or what broadcasts to it. */
  readonly biases: readonly string[];
  /** Scores are softcap tanh(scores / softcap); 0 for none. */
  readonly softcap?: number;
  /** A score beside those of the keys that leads nowhere, [1, heads, 1, 1] or what broadcasts to it. */
  readonly sink?: string | undefined;
}

/** softmax(scale Q K^T + biases) V */
export function attend(tools: Tools, attention: Attention): string {
  const { query, key, value, scale, biases, softcap = 0, sink } = attention;
  const keys = tools.op("Transpose", [key], { perm: [0, 1, 3, 2] });
  const raw = tools.op("MatMul", [tools.op("Mul", [query, scale]), keys]);
  const capped = softcap > 0 ? cap(tools, raw, softcap) : raw;
  const scores = biases.reduce((sum, bias) => tools.op("Add", [sum, bias]), capped);
  const weights = sink === undefined ? tools.op("Softmax", [scores], { axis: -1 }) : withSink(tools, scores, sink);
  return tools.op("MatMul", [weights, value]);
}

function cap(tools: Tools, scores: string, softcap: number): string {
  const limit = tools.scalar(softcap);
  return tools.op("Mul", [tools.op("Tanh", [tools.op("Div", [scores, limit])]), limit]);
}

function withSink(tools: Tools, scores: string, sink: string): string {
  const shape = tools.op("Concat", [tools.op("Shape", [scores], { start: 0, end: 3 }), tools.ints(1)], { axis: 0 });
  const column = tools.op("Expand", [sink, shape]);
  const all = tools.op("Softmax", [tools.op("Concat", [scores, column], { axis: -1 })], { axis: -1 });
  return tools.op("Slice", [all, tools.ints(0), tools.ints(-1), tools.ints(-1)]);
}

/** [batch, sequence, heads * size] as [batch, heads, sequence, size]. */
export function splitHeads(tools: Tools, value: string, heads: number, size?: number): string {
  const width = size ?? headSize(tools, value, heads) ?? -1;
  return tools.op("Transpose", [tools.op("Reshape", [value, tools.ints(0, 0, heads, width)])], { perm: [0, 2, 1, 3] });
}

/** The size of one head of a value [batch, sequence, heads * size], if it is known. */
export function headSize(tools: Tools, value: string, heads: number): number | undefined {
  const hidden = tools.sizeOf(value, -1);
  return hidden === undefined ? undefined : hidden / heads;
}

/** [batch, heads, sequence, size] as [batch, sequence, heads * size]. @param hidden heads * size if it is known */
export function mergeHeads(tools: Tools, value: string, hidden: number | undefined): string {
  const rows = tools.op("Transpose", [value], { perm: [0, 2, 1, 3] });
  return tools.op("Reshape", [rows, tools.ints(0, 0, hidden ?? -1)]);
}

/** Each of the key or value heads repeated for the query heads that share it. */
export function repeatHeads(tools: Tools, value: string, heads: number, kvHeads: number): string {
  if (heads === kvHeads) return value;
  const group = tools.op("Expand", [
    tools.op("Unsqueeze", [value, tools.ints(2)]),
    tools.ints(1, 1, heads / kvHeads, 1, 1),
  ]);
  const shape = tools.op(
    "Concat",
    [tools.op("Shape", [value], { end: 1 }), tools.ints(heads), tools.op("Shape", [value], { start: 2 })],
    { axis: 0 },
  );
  return tools.op("Reshape", [group, shape]);
}

/** 1/sqrt(size) of a value's last dimension. */
export function defaultScale(tools: Tools, value: string, known: number | undefined): string {
  if (known !== undefined) return tools.scalar(1 / Math.sqrt(known));
  const size = tools.op("CastLike", [tools.op("Shape", [value], { start: -1 }), tools.scalar(1)]);
  return tools.op("Reciprocal", [tools.op("Sqrt", [size])]);
}

/** 0 where attention is allowed and MASKED where it is not. */
export function asBias(tools: Tools, allowed: string): string {
  return tools.op("Where", [allowed, tools.scalar(0), tools.scalar(MASKED)]);
}

/** 0, 1, … as many as an int64 vector of length 1 says. */
export function range(tools: Tools, count: string): string {
  const scalar = (value: number) => tools.builder.constant("int64", [value], []);
  const limit = tools.op("Reshape", [count, tools.builder.constant("int64", [], [0])]);
  return tools.op("Range", [scalar(0), limit, scalar(1)]);
}

/** Whether key j comes no later than query i, [queries, keys]; queries begin `offset` keys in. */
export function causal(tools: Tools, queries: string, keys: string, offset: string | undefined): string {
  const rows = tools.op("Unsqueeze", [range(tools, queries), tools.ints(1)]);
  const positions = offset === undefined ? rows : tools.op("Add", [rows, offset]);
  return tools.op("LessOrEqual", [range(tools, keys), positions]);
}

/** The past along the sequence, if there is one, before what is new. */
export function afterPast(tools: Tools, past: string, value: string): string {
  return past === "" ? value : tools.op("Concat", [past, value], { axis: 2 });
}
