import { tmpdir } from "node:os";
import { join } from "node:path";
import { MicroLora } from "microlora";
import * as ort from "onnxruntime-web";
import { afterAll, beforeAll, expect, test } from "vitest";
import { floats, type HostTensor } from "../base/host-tensor.js";
import { cosine, crossEntropy, dpo, infoNce, klToBase, type Loss, tokenNll, vjp } from "../index.js";
import { feedsOf, openFixture } from "../testing/models.test-support.js";
import type { LoraModel } from "./lora-model.js";
import { openModel } from "./node.js";
import type { ModelSource } from "./open.js";

let model: LoraModel;
let adapter: MicroLora;
const feeds = feedsOf("llama-dynamo", 2, 5);
const labels = feeds.input_ids!;

beforeAll(async () => {
  model = await openFixture("llama-dynamo", { targets: ["q_proj"] });
  adapter = await model.createAdapter();
});
afterAll(() => model[Symbol.asyncDispose]());

test.each<readonly [string, string, ModelSource]>([
  ["a file that is not there", "unreadable", join(tmpdir(), "not", "there.onnx")],
  ["a folder", "unreadable", tmpdir()],
  ["an address where nobody answers", "unreadable", "http://127.0.0.1:1/model.onnx"],
  ["something else", "not-onnx", 5 as unknown as ModelSource],
])("a source that is %s is refused", async (_, code, source) => {
  await expect(openModel(source, { ort, targets: ["q_proj"] })).rejects.toMatchObject({ code });
});

const { input_ids: ids, attention_mask: mask } = feeds as Record<string, HostTensor>;

test.each<readonly [string, string, Record<string, HostTensor>]>([
  ["a missing input", "unknown-value", { input_ids: ids! }],
  ["an unknown input", "unknown-value", { ...feeds, pixel_values: ids! }],
  ["another element type", "unsupported-type", { ...feeds, input_ids: floats([1, 2], [1, 2]) }],
  ["no tensor", "unsupported-type", { ...feeds, input_ids: "text" as unknown as HostTensor }],
  ["another rank", "shape-mismatch", { ...feeds, input_ids: { ...ids!, dims: [10] } }],
  ["fewer elements than said", "shape-mismatch", { ...feeds, input_ids: { ...ids!, dims: [2, 6] } }],
  ["inputs that do not go together", "shape-mismatch", { ...feeds, attention_mask: { ...mask!, dims: [5, 2] } }],
])("feeds with %s are refused", async (_, code, wrong) => {
  await expect(model.run(wrong)).rejects.toMatchObject({ code });
});

test.each<readonly [string, string, () => Loss]>([
  [
    "a label out of range",
    "out-of-range",
    () =>
      tokenNll({
        labels: [
          [1, 2, 3, 4, 99],
          [0, 0, 0, 0, 0],
        ],
      }),
  ],
  [
    "a label that is no integer",
    "out-of-range",
    () =>
      tokenNll({
        labels: [
          [1, 2, 3, 4, 0.5],
          [0, 0, 0, 0, 0],
        ],
      }),
  ],
  ["labels of another batch", "shape-mismatch", () => tokenNll({ labels: [[1, 2, 3, 4, 5]] })],
  [
    "labels of another length",
    "shape-mismatch",
    () =>
      tokenNll({
        labels: [
          [1, 2, 3],
          [1, 2, 3],
        ],
      }),
  ],
  ["rows of different lengths", "shape-mismatch", () => tokenNll({ labels: [[1, 2], [1]] })],
  ["a weight that is NaN", "not-finite", () => tokenNll({ labels, weights: [1, Number.NaN] })],
  ["a weight that is missing", "shape-mismatch", () => tokenNll({ labels, weights: [1] })],
  ["an output that is not there", "unknown-value", () => tokenNll({ labels, output: "scores" })],
  ["an output of another rank", "shape-mismatch", () => crossEntropy({ labels: [1] })],
  ["a negative beta", "out-of-range", () => dpo({ labels, beta: -1 })],
  [
    "a temperature of zero",
    "out-of-range",
    () => infoNce({ anchors: [0], candidates: [1], chosen: [0], temperature: 0 }),
  ],
  ["a row that is not there", "out-of-range", () => cosine({ left: [0], right: [2], targets: [1], output: "logits" })],
  ["a mask of another size", "shape-mismatch", () => klToBase({ mask: [[1]] })],
  ["a gradient of another batch", "shape-mismatch", () => vjp({ logits: floats(new Float32Array(99), [1, 1, 99]) })],
  [
    "an infinite gradient",
    "not-finite",
    () => vjp({ logits: floats(new Float32Array(990).fill(Number.POSITIVE_INFINITY), [2, 5, 99]) }),
  ],
])("a loss with %s is refused, and the adapter stays as it is", async (_, code, lossOf) => {
  const before = adapter.toBytes();
  await expect((async () => model.learn({ feeds, loss: lossOf() }, { adapter }))()).rejects.toMatchObject({ code });
  expect(adapter.toBytes()).toEqual(before);
  await model.run(feeds, { adapters: adapter });
});

test("adapters that do not fit are refused", async () => {
  const [name] = model.modules.map((module) => module.name);
  const own = { targetModules: [name!], inFeatures: 32, outFeatures: 32 };
  const refused = async (code: string, config: object) => {
    const wrong = await MicroLora.create({ ...own, ...config });
    await expect(model.run(feeds, { adapters: wrong })).rejects.toMatchObject({ code });
  };
  await refused("wrong-base", { baseModel: "another" });
  await refused("unknown-module", { targetModules: ["elsewhere"] });
  await refused("shape-mismatch", { inFeatures: 31 });
  await refused("unsupported-type", { bias: true });
  await expect(model.run(feeds, { adapters: [adapter] })).rejects.toMatchObject({ code: "shape-mismatch" });
  await expect(model.gradients({ feeds, loss: tokenNll({ labels }) }, {})).rejects.toMatchObject({
    code: "shape-mismatch",
  });
});

test("targets that name nothing are refused, and a model that was disposed of too", async () => {
  await expect(openFixture("llama-dynamo", { targets: ["quarry"] })).rejects.toMatchObject({ code: "unknown-module" });
  const other = await openFixture("llama-dynamo", { targets: /self_attn/ });
  await other[Symbol.asyncDispose]();
  await expect(other.run(feeds)).rejects.toMatchObject({ code: "disposed" });
});
