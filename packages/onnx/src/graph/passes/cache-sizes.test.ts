import { expect, test } from "vitest";
import { SmallModel } from "../../testing/small-models.test-support.js";
import { nameCacheSizes } from "./cache-sizes.js";

test("the width of a cache is what the attention that takes it has, and its length stays free", () => {
  const m = new SmallModel(21);
  m.input("x", ["batch", "steps", 24]);
  const cache = ["batch", 2, "past", "kv_cache_dim"];
  m.input("past_key_values.0.key", cache);
  m.input("past_key_values.0.value", cache);
  m.input("lengths", ["batch"], "int32");
  m.input("total", [], "int32");
  const [q, k, v] = [24, 12, 12].map((width, i) => m.node(`p${i}`, "MatMul", ["x", m.weight(`W${i}`, [24, width])]));
  const inputs = [q!, k!, v!, "past_key_values.0.key", "past_key_values.0.value", "lengths", "total"];
  const y = m.node("attn", "GroupQueryAttention", inputs, { num_heads: 4, kv_num_heads: 2 }, "com.microsoft");
  m.output("y", y, ["batch", "steps", 24]);
  const shapes = nameCacheSizes(m.model()).graph.inputs.map(({ type }) => type?.shape);
  expect(shapes[1]).toEqual(["batch", 2, "past", 6]);
  expect(shapes[2]).toEqual(["batch", 2, "past", 6]);
});
