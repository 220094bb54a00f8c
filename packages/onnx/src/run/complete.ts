import { type HostTensor, ints, numbersOf, sizeOf } from "../base/host-tensor.js";
import type { Dim, ValueInfo } from "../graph/ir.js";
import type { Feeds } from "./feeds.js";

/**
 * Feeds of a whole text for a model that wants more than the tokenizer gives: an attention mask of ones, positions counted
 * over the mask, token types of zero, places in an empty cache of past keys and values, that cache, and use of a cache where one is given.
 * @param inputs of the model; what it does not take is left out
 */
export function completeFeeds(inputs: readonly ValueInfo[], given: Feeds): Record<string, HostTensor> {
  const tokens = given.input_ids ?? given.inputs_embeds ?? given.decoder_input_ids;
  const [rows = 1, length = 1] = tokens?.dims ?? [];
  const mask = given.attention_mask;
  const ones = (): HostTensor =>
    ints(
      Array.from({ length: rows * length }, () => 1),
      [rows, length],
    );
  const makers: Readonly<Record<string, () => HostTensor>> = {
    attention_mask: ones,
    position_ids: () => positions(mask ?? ones(), length),
    token_type_ids: () =>
      ints(
        Array.from({ length: rows * length }, () => 0),
        [rows, length],
      ),
    use_cache_branch: () => ({
      type: "bool",
      dims: [1],
      data: Uint8Array.of(Number(Object.keys(given).some(isCache))),
    }),
    cache_position: () => {
      const past = Math.max(0, (mask?.dims[1] ?? length) - length);
      return ints(
        Array.from({ length }, (_, position) => past + position),
        [length],
      );
    },
    num_logits_to_keep: () => ints([0], []),
  };
  const feeds: Record<string, HostTensor> = {};
  for (const { name, type } of inputs) {
    const made = given[name] ?? makers[name]?.() ?? (type?.shape && emptyCache(name, type.dtype, type.shape, rows));
    if (made !== undefined) feeds[name] = { type: made.type, dims: made.dims, data: made.data };
  }
  return feeds;
}

/** Positions of the tokens that the mask has, from 0 on; 1 where there is none, as transformers has it. */
function positions(mask: HostTensor, length: number): HostTensor {
  const { values } = numbersOf(mask, "attention_mask");
  let next = 0;
  const all = values.map((on, i) => {
    if (i % length === 0) next = 0;
    return on === 0 ? 1 : next++;
  });
  return ints(all, [values.length / length, length]);
}

/** Keys, values and states of tokens before: `past_key_values.0.key`, `past_conv.0`, `cache_params.0`; not where they stand. */
function isCache(name: string): boolean {
  return /^(past|cache(?!_position))/.test(name);
}

/** Past keys or values of no token. */
function emptyCache(name: string, type: string, shape: readonly Dim[], rows: number): HostTensor | undefined {
  if (!isCache(name)) return undefined;
  const dims = shape.map((dim, axis) => (typeof dim === "number" ? dim : axis === 0 ? rows : 0));
  const size = sizeOf(dims);
  const data =
    type === "float16" ? new Uint16Array(size) : type === "int64" ? new BigInt64Array(size) : new Float32Array(size);
  return { type, dims, data };
}
