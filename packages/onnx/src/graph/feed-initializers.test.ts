import { readFileSync } from "node:fs";
import { decodeSafetensors, onnxAdapterFeeds, toFloats } from "@microlora/formats";
import { InferenceSession, Tensor } from "onnxruntime-web";
import { expect, test } from "vitest";
import { feedInitializers } from "./feed-initializers.js";
import { readModel } from "./serde/read.js";
import { encodeModel } from "./serde/write.js";

// A graph of Olive's kind, an adapter by onnxruntime's AdapterFormat, and what Python's LoraAdapter made of them.
const FIXTURES = new URL("../../../formats/src/onnx-adapter/fixtures/", import.meta.url);
const file = (name: string) => new Uint8Array(readFileSync(new URL(name, FIXTURES)));
const expected = decodeSafetensors(file("expected.safetensors")).tensors;
const numbers = (name: string) => toFloats(expected.get(name)!, name);
const x = new Tensor("float32", numbers("x"), [3, 12]);

async function expectOutputs(model: Uint8Array, feeds: Record<string, Tensor>, prefix: string): Promise<void> {
  const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
  const outputs = await session.run({ x, ...feeds });
  expect(Object.keys(outputs)).toHaveLength(2);
  for (const [name, { data }] of Object.entries(outputs)) {
    const values = numbers(prefix + name);
    for (const [i, value] of Array.from(data as Float32Array).entries()) expect(value).toBeCloseTo(values[i]!, 5);
  }
  await session.release();
}

test("with its parameters to be fed, a graph of Olive's runs with an .onnx_adapter as Python's LoraAdapter runs it", async () => {
  const feeds = Object.fromEntries(
    Object.entries(onnxAdapterFeeds(file("olive.onnx_adapter"))).map(([name, { type, data, dims }]) => [
      name,
      new Tensor(type as "float32", data as Float32Array, dims),
    ]),
  );
  const model = file("olive.onnx");
  await expectOutputs(model, {}, "base.");
  await expect(expectOutputs(model, feeds, "")).rejects.toThrow(/invalid input/);
  await expectOutputs(encodeModel(feedInitializers(readModel(model), Object.keys(feeds))), feeds, "");
});

test("names that a model does not have are refused", () => {
  expect(() => feedInitializers(readModel(file("olive.onnx")), ["other"])).toThrow(/no input and no initializer/);
});
