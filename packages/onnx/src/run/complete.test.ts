import { expect, test } from "vitest";
import { ints } from "../base/host-tensor.js";
import type { DType, ValueInfo } from "../graph/ir.js";
import { completeFeeds } from "./complete.js";

const input = (name: string, dtype: DType, shape: readonly (number | string)[]): ValueInfo => ({
  name,
  type: { dtype, shape },
});

const given = { input_ids: ints([5, 6, 7, 8, 9, 4], [2, 3]) };

test.each([
  ["past_key_values.0.key", "float32", ["batch", 4, "past", 16], [2, 4, 0, 16]],
  ["past_sequence", "int64", ["batch", "past"], [2, 0]],
  ["cache_params.0", "float16", ["batch", "past", 8], [2, 0, 8]],
] as const)("%s is a cache of no token", (name, dtype, shape, dims) => {
  const { [name]: feed } = completeFeeds([input(name, dtype, shape)], given);
  expect(feed).toMatchObject({ type: dtype, dims });
});

test.each(["image_cache_features", "uncached", "features_past"])("%s is left to the caller", (name) => {
  expect(completeFeeds([input(name, "float32", ["batch", 3])], given)).toEqual({});
});

test("a branch without a cache is chosen where none is given, and tokens stand at its front", () => {
  const inputs = [input("use_cache_branch", "bool", [1]), input("cache_position", "int64", ["seq"])];
  const feeds = completeFeeds(inputs, given);
  expect(feeds.use_cache_branch?.data).toEqual(Uint8Array.of(0));
  expect(feeds.cache_position).toEqual(ints([0, 1, 2], [3]));
  const behind = completeFeeds(inputs, { ...given, attention_mask: ints(Array(10).fill(1), [2, 5]) });
  expect(behind.cache_position).toEqual(ints([2, 3, 4], [3]));
  const placed = completeFeeds(inputs, { ...given, cache_position: ints([0, 1, 2], [3]) });
  expect(placed.use_cache_branch?.data).toEqual(Uint8Array.of(0));
});
