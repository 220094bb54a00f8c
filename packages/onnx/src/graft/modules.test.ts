import { expect, test } from "vitest";
import { inferTypes } from "../graph/infer/infer.js";
import type { Graph, Model, Node, Tensor } from "../graph/ir.js";
import { readModelFile } from "../graph/serde/node.js";
import { shapesOfOne } from "../graph/sizes.js";
import { type Fixture, fixturePath } from "../testing/models.test-support.js";
import { findModules, type Module, selectModules, type Targets } from "./modules.js";

/** A fixture; without names, as if its exporter had kept none. */
function modulesOf(fixture: Fixture, hasNames = true): readonly Module[] {
  const model = readModelFile(fixturePath(fixture));
  const typed = inferTypes(hasNames ? model : withoutNames(model)).graph;
  return findModules(typed, shapesOfOne(typed.types)).modules;
}

function withoutNames({ graph, ...rest }: Model): Model {
  const names = new Map([...graph.initializers.keys()].map((name, i) => [name, `val_${i}`]));
  const initializers = new Map([...graph.initializers].map(([name, tensor]) => [names.get(name)!, tensor]));
  const nodes = graph.nodes.map(({ metadata: _, ...node }, i) => {
    return { ...node, name: `node_${i}`, inputs: node.inputs.map((input) => names.get(input) ?? input) };
  });
  return { ...rest, graph: { ...graph, nodes, initializers } };
}

const chosen = (fixture: Fixture, targets: Targets, hasNames = true) =>
  selectModules(modulesOf(fixture, hasNames), targets).map(({ name }) => name);

test("modules are named as in PyTorch, by whatever an exporter left", () => {
  expect(chosen("llama-dynamo", ["q_proj", "down_proj"])).toEqual([
    "model.model.layers.0.self_attn.q_proj",
    "model.model.layers.0.mlp.down_proj",
    "model.model.layers.1.self_attn.q_proj",
    "model.model.layers.1.mlp.down_proj",
  ]);
  expect(chosen("bert-legacy", ["query"])).toEqual([
    "model.encoder.layer.0.attention.self.query",
    "model.encoder.layer.1.attention.self.query",
  ]);
  expect(chosen("gpt2-legacy", /h\.1\.mlp/)).toEqual([
    "model.transformer.h.1.mlp.c_fc",
    "model.transformer.h.1.mlp.c_proj",
  ]);
});

test("the usual names find modules that are called otherwise", () => {
  expect(chosen("bert-legacy", ["q_proj"])).toEqual(chosen("bert-legacy", ["query"]));
  expect(chosen("bert-legacy", ["o_proj"])).toEqual(chosen("bert-legacy", /attention\.output\.dense/));
  expect(chosen("gpt2-legacy", ["up_proj", "down_proj"])).toEqual(chosen("gpt2-legacy", /mlp/));
});

test("where names were lost, the flow of data tells", () => {
  const roles = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
  expect(chosen("llama-dynamo", "all-linear", false)).toEqual(
    [0, 1].flatMap((n) => roles.map((role) => `layers.${n}.${role}`)),
  );
  expect(chosen("bert-legacy", ["q_proj", "v_proj"], false)).toEqual(
    [0, 1].flatMap((n) => [`layers.${n}.q_proj`, `layers.${n}.v_proj`]),
  );
});

test("all linear layers, but for the output layer and the parts of packed ones", () => {
  expect(chosen("llama-dynamo", "all-linear").length).toBe(14);
  expect(chosen("gpt2-legacy", "all-linear").length).toBe(8);
});

test("Q and V of a packed projection are slices of it", () => {
  const slices = selectModules(modulesOf("gpt2-legacy"), ["q_proj", "v_proj"]).map(({ name, slice }) => [
    name,
    slice?.ranges,
  ]);
  expect(slices).toEqual([
    ["model.transformer.h.0.attn.q_proj", [[0, 32]]],
    ["model.transformer.h.0.attn.v_proj", [[64, 32]]],
    ["model.transformer.h.1.attn.q_proj", [[0, 32]]],
    ["model.transformer.h.1.attn.v_proj", [[64, 32]]],
  ]);
});

/** Projections of one operator after another, with what torch.export notes of each. */
function chainOf(
  ...calls: readonly { readonly weight: string; readonly metadata?: Node["metadata"]; readonly name?: string }[]
) {
  const nodes = calls.map(({ weight, metadata, name = "" }, i): Node => {
    const node = { op: "MatMul", domain: "", inputs: [`x${i}`, weight], outputs: [`x${i + 1}`], attributes: {} };
    return { name, ...node, ...(metadata && { metadata }) };
  });
  const tensor: Tensor = { dtype: "float32", dims: [2, 2], data: { kind: "bytes", bytes: new Uint8Array(16) } };
  const initializers = new Map(calls.map(({ weight }) => [weight, tensor]));
  return findModules({ name: "", nodes, inputs: [], outputs: [], initializers, types: new Map() }).modules;
}

const scopes = (path: string, type: string) => ({
  "pkg.torch.onnx.name_scopes": `['', 'model', '${path}', 'linear']`,
  "pkg.torch.onnx.class_hierarchy": `['Model', 'Model', '${type}', 'aten.linear.default']`,
});

test("a layer that is called again is one module, though torch.export folds its weight for each call", () => {
  const metadata = scopes("model.ffn", "torch.nn.modules.linear.Linear");
  const [module, ...others] = chainOf({ weight: "val_1", metadata }, { weight: "val_2", metadata });
  expect(module).toMatchObject({ name: "model.ffn", sites: [{ weight: "val_1" }, { weight: "val_2" }] });
  expect(others).toEqual([]);
});

test("products within one module are modules of their own, named by their weights where these say more", () => {
  const metadata = scopes("attn", "torch.nn.modules.activation.MultiheadAttention");
  const found = chainOf(
    { weight: "val_1", metadata },
    { weight: "val_2", metadata },
    { weight: "attn.out_proj.weight", metadata },
  );
  expect(found.map(({ name }) => name)).toEqual(["attn", "attn.2", "attn.out_proj"]);
});

test("a child of a sequence has its parent's name once", () => {
  const found = chainOf(
    { weight: "w", name: "/mlp/mlp.0/MatMul" },
    { weight: "v", name: "fused /mlp/mlp.2/mlp.2.1/MatMul" },
  );
  expect(found.map(({ name }) => name)).toEqual(["mlp.0", "mlp.2.1"]);
});

test("a chain of sums that part and meet is walked once", () => {
  const nodes: Node[] = Array.from({ length: 60 }, (_, i) => ({
    ...{ name: `add ${i}`, op: "Add", domain: "", attributes: {} },
    ...{ inputs: [`x${i}`, `x${i}`], outputs: [`x${i + 1}`] },
  }));
  const product = { name: "/fc/Gemm", op: "Gemm", domain: "", inputs: ["x60", "W"], outputs: ["y"], attributes: {} };
  const weight: Tensor = { dtype: "float32", dims: [2, 2], data: { kind: "bytes", bytes: new Uint8Array(16) } };
  const graph: Graph = {
    name: "",
    nodes: [...nodes, product],
    inputs: [{ name: "x0", type: { dtype: "float32", shape: [1, 2] } }],
    outputs: [{ name: "y", type: undefined }],
    initializers: new Map([["W", weight]]),
    types: new Map(),
  };
  expect(findModules(graph).modules.map(({ name }) => name)).toEqual(["fc"]);
});
