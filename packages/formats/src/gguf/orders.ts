import { FormatError } from "../base/errors.js";
import type { Order } from "./architectures.js";
import type { BaseModel } from "./base-model.js";
import { rotaryOrder } from "./permute.js";

/**
 * The model's own row, or column, that lies at each place in llama.cpp's order.
 * @throws FormatError `needs-base` where the base model says too little, or other sizes
 */
export function orderOf(order: Order, length: number, base: BaseModel, where: string): Uint32Array {
  return ORDERS[order](length, base, where);
}

/** How many heads there are. @throws FormatError `needs-base` where the base model does not say */
function headsOf({ attentionHeads, keyValueHeads }: BaseModel, which: "attention" | "keyValue", where: string): number {
  const heads = which === "attention" ? attentionHeads : (keyValueHeads ?? attentionHeads);
  if (heads !== null) return heads;
  const problem = "has its rows in an order that the number of heads decides, which the base model does not say";
  throw new FormatError(
    "needs-base",
    where,
    problem,
    "Pass a config.json with num_attention_heads, or the model's GGUF",
  );
}

/** Each by the name that the table of architectures has for it. */
const ORDERS: { readonly [K in Order]: (length: number, base: BaseModel, where: string) => Uint32Array } = {
  "rotary-q": (rows, base, where) => rotaryOrder(rows, headsOf(base, "attention", where), where),
  "rotary-k": (rows, base, where) => rotaryOrder(rows, headsOf(base, "keyValue", where), where),
  "grouped-qkv": groupedOrder,
  "linear-qkv"(rows, base, where) {
    const { keys, keyWidth } = linearHeadsOf(base, where);
    const before = 2 * keys * keyWidth;
    return withIdentityBefore(before, tiledOrder(rows - before, base, where));
  },
  "linear-values": tiledOrder,
  "linear-gates": (rows, base, where) => tiledOrder(rows, base, where, 1),
};

/**
 * Falcon packs Q, K and V by groups: the queries that share a key, the key, the value. llama.cpp has all queries, then all
 * keys, then all values. `FalconModel` in conversion/falcon.py.
 */
function groupedOrder(rows: number, base: BaseModel, where: string): Uint32Array {
  const [heads, groups] = [headsOf(base, "attention", where), headsOf(base, "keyValue", where)];
  const each = heads / groups;
  const width = rows / (heads + 2 * groups);
  if (!Number.isInteger(each) || !Number.isInteger(width)) refuse(where, rows, `${heads} heads in ${groups} groups`);
  const members = [
    ...Array.from({ length: heads }, (_, head) => Math.floor(head / each) * (each + 2) + (head % each)),
    ...Array.from({ length: groups }, (_, group) => group * (each + 2) + each),
    ...Array.from({ length: groups }, (_, group) => group * (each + 2) + each + 1),
  ];
  return blocksOf(members, width);
}

/**
 * Qwen3.5 has the value heads of each key head side by side; llama.cpp has the first of each, then the second of each.
 * `_LinearAttentionVReorderBase` in conversion/qwen.py.
 */
function tiledOrder(length: number, base: BaseModel, where: string, headWidth?: number): Uint32Array {
  const { keys, values, valueWidth } = linearHeadsOf(base, where);
  const width = headWidth ?? valueWidth;
  const each = values / keys;
  if (!Number.isInteger(each) || length !== values * width) refuse(where, length, `${values} heads of width ${width}`);
  const members = Array.from({ length: values }, (_, place) => (place % keys) * each + Math.floor(place / keys));
  return blocksOf(members, width);
}

function linearHeadsOf({ linearHeads }: BaseModel, where: string): NonNullable<BaseModel["linearHeads"]> {
  if (linearHeads !== undefined) return linearHeads;
  const problem =
    "has its rows in an order that the heads of linear attention decide, which the base model does not say";
  throw new FormatError(
    "needs-base",
    where,
    problem,
    "Pass a config.json with linear_num_key_heads, or the model's GGUF",
  );
}

/** Blocks of a width, in this order. */
function blocksOf(members: readonly number[], width: number): Uint32Array {
  return Uint32Array.from(
    { length: members.length * width },
    (_, i) => members[Math.floor(i / width)]! * width + (i % width),
  );
}

function withIdentityBefore(before: number, order: Uint32Array): Uint32Array {
  return Uint32Array.from({ length: before + order.length }, (_, i) => (i < before ? i : before + order[i - before]!));
}

function refuse(where: string, length: number, wanted: string): never {
  const problem = `is ${length} wide, which is not ${wanted}`;
  throw new FormatError("needs-base", where, problem, "Pass the base model that the adapter is for");
}
