import { intsOf } from "../attributes.js";
import { unsupported } from "../unsupported.js";
import {
  afterPast,
  asBias,
  attend,
  causal,
  defaultScale,
  headSize,
  mergeHeads,
  range,
  repeatHeads,
  splitHeads,
} from "./lower-attention.js";
import type { Lowering, Tools } from "./lowering.js";

type Three = readonly [query: string, key: string, value: string];

/** com.microsoft.MultiHeadAttention: Q, K and V apart, packed in one, or K and V packed. Source: ContribOperators.md */
export const multiHeadAttention: Lowering = (tools) => {
  const heads = tools.attribute("num_heads", 0);
  const [pastKey, pastValue] = [tools.input(6), tools.input(7)];
  if (tools.input(8) || tools.input(9)) throw unsupported(tools.node, "no rule for a shared cache or beams");
  if (tools.gives(3)) throw unsupported(tools.node, "no rule for the scores as an output");
  const [query, newKey, newValue] = multiHeadInputs(tools, heads);
  const key = afterPast(tools, pastKey, newKey);
  const value = afterPast(tools, pastValue, newValue);
  const bias = tools.input(5);
  const biases = [
    ...maskBias(tools, tools.input(4), key),
    ...(tools.attribute("unidirectional", 0) === 1 ? [causalBias(tools, query, key)] : []),
    ...(bias ? [bias] : []),
  ];
  const size =
    tools.rankOf(tools.input(0)) === 3 ? headSize(tools, tools.input(0), heads) : tools.sizeOf(tools.input(0), -1);
  const scale = tools.attribute("scale", 0);
  const result = attend(tools, {
    query,
    key,
    value,
    scale: scale === 0 ? defaultScale(tools, query, size) : tools.scalar(scale),
    biases,
  });
  return [mergeHeads(tools, result, undefined), key, value];
};

/** Q, K and V as [batch, heads, sequence, size], with their biases. */
function multiHeadInputs(tools: Tools, heads: number): Three {
  const [query, key, value, bias] = [0, 1, 2, 3].map((i) => tools.input(i)) as [string, string, string, string];
  const [qBias, kBias, vBias] = bias ? biasParts(tools, bias, query, value) : ["", "", ""];
  const heads4 = (x: string, own: string) => splitHeads(tools, tools.plus(x, own), heads);
  if (key === "") {
    const parts = unpack(tools, query, 3);
    return [qBias, kBias, vBias].map((own, i) => withHeadBias(tools, parts[i]!, own, heads)) as unknown as Three;
  }
  if (value === "") {
    const [k, v] = unpack(tools, key, 2);
    return [heads4(query, qBias), withHeadBias(tools, k!, kBias, heads), withHeadBias(tools, v!, vBias, heads)];
  }
  if (tools.rankOf(key) === 4) return [heads4(query, qBias), key, value];
  return [heads4(query, qBias), heads4(key, kBias), heads4(value, vBias)];
}

/** [batch, sequence, heads, count, size] as `count` tensors [batch, heads, sequence, size]. */
function unpack(tools: Tools, packed: string, count: number): readonly string[] {
  if (tools.rankOf(packed) !== 5) throw unsupported(tools.node, "packed projections that are not known to have rank 5");
  const parts = tools.builder.ops("Split", [packed], count, { axis: 3, num_outputs: count });
  return parts.map((part) =>
    tools.op("Transpose", [tools.op("Squeeze", [part, tools.ints(3)])], { perm: [0, 2, 1, 3] }),
  );
}

function withHeadBias(tools: Tools, value: string, bias: string, heads: number): string {
  return bias === "" ? value : tools.op("Add", [value, tools.op("Reshape", [bias, tools.ints(heads, 1, -1)])]);
}

/** One bias for Q, K and V after one another; V may be wider or narrower. */
function biasParts(tools: Tools, bias: string, query: string, value: string): Three {
  const whole = tools.sizeOf(bias, 0);
  const own = tools.rankOf(query) === 3 ? tools.sizeOf(query, -1) : undefined;
  const other = value !== "" && tools.rankOf(value) === 3 ? tools.sizeOf(value, -1) : undefined;
  if (whole !== undefined && own !== undefined && other !== undefined && 2 * own + other === whole) {
    return tools.builder.ops("Split", [bias, tools.ints(own, own, other)], 3, { axis: 0 }) as unknown as Three;
  }
  return tools.builder.ops("Split", [bias], 3, { axis: 0, num_outputs: 3 }) as unknown as Three;
}

/** com.microsoft.Attention: one weight for Q, K and V, as BERT and GPT-2 are fused to. Source: ContribOperators.md */
export const contribAttention: Lowering = (tools) => {
  const [input, weight, bias, mask, past, scores] = [0, 1, 2, 3, 4, 5].map((i) => tools.input(i)) as [
    ...[string, string, string],
    ...[string, string, string],
  ];
  const heads = tools.attribute("num_heads", 0);
  for (const name of ["do_rotary", "past_present_share_buffer"]) {
    if (tools.attribute(name, 0) !== 0) throw unsupported(tools.node, `no rule for ${name}`);
  }
  const [query, newKey, newValue] = packedProjections(
    tools,
    tools.plus(tools.op("MatMul", [input, weight]), bias),
    heads,
  );
  const pasts = past === "" ? ["", ""] : pastParts(tools, past);
  const key = afterPast(tools, pasts[0]!, newKey);
  const value = afterPast(tools, pasts[1]!, newValue);
  const scale = tools.attribute("scale", 0);
  const biases = [
    ...maskBias(tools, mask, key),
    ...(tools.attribute("unidirectional", 0) === 1 ? [causalBias(tools, query, key)] : []),
    ...(scores ? [scores] : []),
  ];
  const size = headSizeOfWeight(tools, weight, heads);
  const result = attend(tools, {
    query,
    key,
    value,
    scale: scale === 0 ? defaultScale(tools, query, size) : tools.scalar(scale),
    biases,
  });
  return [mergeHeads(tools, result, undefined), tools.gives(1) ? present(tools, key, value) : undefined];
};

function packedProjections(tools: Tools, all: string, heads: number): Three {
  const sizes = intsOf(tools.node.attributes, "qkv_hidden_sizes");
  const parts = sizes
    ? tools.builder.ops("Split", [all, tools.ints(...sizes)], 3, { axis: 2 })
    : tools.builder.ops("Split", [all], 3, { axis: 2, num_outputs: 3 });
  return parts.map((part, i) => splitHeads(tools, part, heads, sizes && sizes[i]! / heads)) as unknown as Three;
}

function headSizeOfWeight(tools: Tools, weight: string, heads: number): number | undefined {
  const sizes = intsOf(tools.node.attributes, "qkv_hidden_sizes");
  const all = tools.sizeOf(weight, -1);
  if (sizes) return sizes[0]! / heads;
  return all === undefined ? undefined : all / 3 / heads;
}

function pastParts(tools: Tools, past: string): readonly string[] {
  const parts = tools.builder.ops("Split", [past], 2, { axis: 0, num_outputs: 2 });
  return parts.map((part) => tools.op("Squeeze", [part, tools.ints(0)]));
}

function present(tools: Tools, key: string, value: string): string {
  const [k, v] = [key, value].map((part) => tools.op("Unsqueeze", [part, tools.ints(0)])) as [string, string];
  return tools.op("Concat", [k, v], { axis: 0 });
}

/** Keys to look at: a mask by key, by query and key, or the number of keys in each row. */
function maskBias(tools: Tools, mask: string, key: string): readonly string[] {
  if (mask === "") return [];
  const rank = tools.rankOf(mask);
  const lowest = tools.scalar(tools.attribute("mask_filter_value", -10000));
  const bias = (allowed: string) => [tools.op("Where", [allowed, tools.scalar(0), lowest])];
  const positive = (value: string) => tools.op("Greater", [tools.builder.cast(value, "int64"), tools.ints(0)]);
  if (rank === 2) return bias(positive(tools.op("Unsqueeze", [mask, tools.ints(1, 2)])));
  if (rank === 3) return bias(positive(tools.op("Unsqueeze", [mask, tools.ints(1)])));
  if (rank !== 1) throw unsupported(tools.node, `no rule for a mask of rank ${rank ?? "unknown"}`);
  const counts = tools.builder.cast(tools.op("Reshape", [mask, tools.ints(-1, 1, 1, 1)]), "int64");
  const keys = range(tools, tools.op("Shape", [key], { start: 2, end: 3 }));
  return bias(tools.op("Less", [keys, counts]));
}

function causalBias(tools: Tools, query: string, key: string): string {
  const [queries, keys] = [query, key].map((value) => tools.op("Shape", [value], { start: 2, end: 3 })) as [
    string,
    string,
  ];
  return asBias(tools, causal(tools, queries, keys, tools.op("Sub", [keys, queries])));
}

/** Attention of opset 23 and 24, on three or four dimensions. Source: Operators.md, Attention */
export const standardAttention: Lowering = (tools) => {
  const [q, k, v, mask, pastKey, pastValue, lengths] = [0, 1, 2, 3, 4, 5, 6].map((i) => tools.input(i)) as [
    ...[string, string, string, string],
    ...[string, string, string],
  ];
  const rank = tools.rankOf(q);
  if (rank === undefined) throw unsupported(tools.node, "the rank of its input is unknown");
  if (tools.gives(3)) throw unsupported(tools.node, "no rule for the scores as an output");
  const heads = tools.attribute("q_num_heads", 0) || (tools.sizeOf(q, 1) ?? 0);
  const kvHeads = tools.attribute("kv_num_heads", 0) || (tools.sizeOf(k, 1) ?? 0);
  if (heads === 0 || kvHeads === 0) throw unsupported(tools.node, "its numbers of heads are unknown");
  const four = (value: string, count: number) => (rank === 3 ? splitHeads(tools, value, count) : value);
  const query = four(q, heads);
  const key = afterPast(tools, pastKey, four(k, kvHeads));
  const value = afterPast(tools, pastValue, four(v, kvHeads));
  const scale = tools.attribute("scale", 0);
  const size = rank === 3 ? headSize(tools, q, heads) : tools.sizeOf(q, -1);
  const result = attend(tools, {
    query,
    key: repeatHeads(tools, key, heads, kvHeads),
    value: repeatHeads(tools, value, heads, kvHeads),
    scale: scale === 0 ? defaultScale(tools, query, size) : tools.scalar(scale),
    biases: [
      ...(mask ? [standardMask(tools, mask)] : []),
      ...(tools.attribute("is_causal", 0) === 1 ? [standardCausal(tools, query, key, pastKey)] : []),
      ...(lengths ? [lengthBias(tools, lengths, key)] : []),
    ],
    softcap: tools.attribute("softcap", 0),
  });
  return [rank === 3 ? mergeHeads(tools, result, undefined) : result, key, value];
};

/** Added as it is, or true where attention is allowed; its type decides, so that must be known. */
function standardMask(tools: Tools, mask: string): string {
  const dtype = tools.dtypeOf(mask);
  if (dtype === undefined) throw unsupported(tools.node, "whether its mask is of truth values is unknown");
  return dtype === "bool" ? asBias(tools, mask) : mask;
}

function standardCausal(tools: Tools, query: string, key: string, past: string): string {
  const sizes = [query, key].map((value) => tools.op("Shape", [value], { start: 2, end: 3 })) as [string, string];
  return asBias(tools, causal(tools, ...sizes, past === "" ? undefined : tools.dim(past, 2)));
}

function lengthBias(tools: Tools, lengths: string, key: string): string {
  const counts = tools.op("Reshape", [lengths, tools.ints(-1, 1, 1, 1)]);
  return asBias(tools, tools.op("Less", [range(tools, tools.op("Shape", [key], { start: 2, end: 3 })), counts]));
}
