import { readFileSync } from "node:fs";
import { MicroLora } from "microlora";
import { describe, expect, test } from "vitest";
import { inspectModel } from "../graft/inspect-model.js";
import { toAttributes } from "../graph/builder.js";
import type { Model, Node } from "../graph/ir.js";
import { readModel } from "../graph/serde/read.js";
import { encodeModel } from "../graph/serde/write.js";
import { insertAfter } from "../graph/verbs.js";
import { vjp } from "../loss/combine.js";
import { feedsOf, fixturePath, web } from "../testing/models.test-support.js";
import { openModel } from "./open.js";

const BELOW = "model.encoder.layer.0.attention.self.query";
const ABOVE = "model.encoder.layer.1.attention.self.query";

/** A BERT of two layers, with a node between them. */
function cutBetweenLayers(change: Partial<Node>): Model {
  const model = readModel(readFileSync(fixturePath("bert-legacy")));
  const query = model.graph.nodes.find(({ name }) => /layer\.1\/attention\/self\/query\/MatMul/.test(name))!;
  const middle = query.inputs[0]!;
  const node: Node = {
    name: "wall",
    op: "Wall",
    domain: "",
    inputs: [middle],
    outputs: ["behind"],
    attributes: {},
    ...change,
  };
  const opsets = new Map([...model.opsets, [node.domain, model.opsets.get(node.domain) ?? 1]]);
  return {
    ...model,
    opsets,
    graph: insertAfter(model.graph, middle, { nodes: [node], initializers: new Map() }, "behind"),
  };
}

/** Has no derivative here, and is run by onnxruntime: the norm of windows of one element. */
const WALL = { op: "LpPool", attributes: toAttributes({ kernel_shape: [1] }) };

async function openCut() {
  const bytes = encodeModel(cutBetweenLayers(WALL));
  return openModel(bytes, { ort: web, targets: ["query"] });
}

const gradient = { type: "float32", dims: [1, 4, 32], data: Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)) };
const request = { feeds: feedsOf("bert-legacy", 1, 4), loss: vjp({ last_hidden_state: gradient }) };

describe("an operator without a derivative in the middle of a model", () => {
  test("is named beside the modules below it by `inspect`, be it of a domain that nobody knows", () => {
    const reports = inspectModel(cutBetweenLayers({ domain: "of.somebody" }));
    const reasons = new Map(reports.map(({ module, notLearnable }) => [module, notLearnable]));
    expect(reasons.get(BELOW)).toBe("of.somebody:Wall wall cuts it off: this operator has no rule");
    expect(reasons.get(ABOVE)).toBeUndefined();
  });

  test("leaves the modules above it to learn, and says which do not", async () => {
    await using model = await openCut();
    const reason = expect.stringMatching(/^LpPool wall cuts it off/);
    expect([...model.notLearnable]).toEqual([[BELOW, reason]]);
    const adapter = await model.createAdapter();
    const before = [BELOW, ABOVE].map((name) => adapter.getAdapter(name)!.loraB.slice());
    const { gradientNorm, missing } = await model.learn(request, { adapter, learningRate: 0.1 });
    expect([...missing]).toEqual([[BELOW, reason]]);
    expect(gradientNorm).toBeGreaterThan(0);
    expect(adapter.getAdapter(BELOW)!.loraB).toEqual(before[0]);
    expect(adapter.getAdapter(ABOVE)!.loraB).not.toEqual(before[1]);
  });

  test("is the error where nothing else is to be learned", async () => {
    await using model = await openCut();
    const whole = await model.createAdapter();
    const { inFeatures, outFeatures } = whole.getAdapter(BELOW)!;
    const below = await MicroLora.create({
      targetModules: [BELOW],
      dimensions: { [BELOW]: { inFeatures, outFeatures } },
      baseModel: model.fingerprint,
    });
    const error = await model.learn(request, { adapter: below }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "unsupported-operator", where: "wall" });
    expect(String(error)).toContain("LpPool");
    expect(String(error)).toContain(BELOW);
  });
});
