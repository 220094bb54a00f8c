import type { MicroLora } from "microlora";
import { expect, test } from "vitest";
import { floats, type HostTensor } from "../base/host-tensor.js";
import { GraphBuilder } from "../graph/builder.js";
import type { Model, ValueInfo } from "../graph/ir.js";
import { encodeModel } from "../graph/serde/write.js";
import { vjp } from "../loss/combine.js";
import { randomOf, web } from "../testing/models.test-support.js";
import type { LoraModel } from "./lora-model.js";
import { openModel } from "./open.js";

const [ROWS, TOKENS, IN, OUT] = [3, 4, 6, 5];

/** Numbers that are the same in every run. */
function numbers(count: number, seed: number): number[] {
  const random = randomOf(seed);
  return Array.from({ length: count }, random);
}

/** A model x [batch, sequence, IN] -> y, written by hand. */
function modelOf(write: (builder: GraphBuilder) => string): Model {
  const builder = new GraphBuilder("");
  const y = write(builder);
  builder.add({ name: "y", op: "Identity", domain: "", inputs: [y], outputs: ["y"], attributes: {} });
  const info = (name: string, width: number): ValueInfo => ({
    name,
    type: { dtype: "float32", shape: ["batch", "sequence", width] },
  });
  const { nodes, initializers } = builder;
  const graph = {
    name: "g",
    nodes,
    initializers,
    inputs: [info("x", IN)],
    outputs: [info("y", OUT)],
    types: new Map(),
  };
  return {
    irVersion: 8,
    producer: "",
    opsets: new Map([
      ["", 17],
      ["com.microsoft", 1],
    ]),
    graph,
    functions: [],
    metadata: new Map(),
  };
}

const weight = (builder: GraphBuilder, seed = 1) => builder.constant("float32", numbers(IN * OUT, seed), [IN, OUT]);

/** nn.MultiheadAttention's way: the sequence first, and flattened around the projection. */
const SEQUENCE_FIRST = modelOf((builder) => {
  const turned = builder.op("Transpose", ["x"], { perm: [1, 0, 2] });
  const flat = builder.op("Relu", [builder.op("Reshape", [turned, builder.ints(-1, IN)])]);
  const product = builder.op("Gemm", [flat, weight(builder)]);
  const shape = builder.op("Concat", [builder.op("Shape", [turned], { end: 2 }), builder.ints(OUT)], { axis: 0 });
  return builder.op("Transpose", [builder.op("Reshape", [product, shape])], { perm: [1, 0, 2] });
});

const X = floats(numbers(ROWS * TOKENS * IN, 7), [ROWS, TOKENS, IN]);
const SEED = floats(numbers(ROWS * TOKENS * OUT, 9), [ROWS, TOKENS, OUT]);

function rowOf({ dims, data }: HostTensor, row: number): HostTensor {
  const values = data as Float32Array;
  const size = values.length / dims[0]!;
  return floats(values.slice(row * size, (row + 1) * size), [1, ...dims.slice(1)]);
}

async function randomAdapter(model: LoraModel, seed: number): Promise<MicroLora> {
  const adapter = await model.createAdapter({ rank: 2 });
  for (const { name } of model.modules) adapter.getAdapter(name)!.loraB.set(numbers(2 * OUT, seed));
  return adapter;
}

test("a batch that lies across the sequence is taken apart into its rows", async () => {
  await using model = await openModel(encodeModel(SEQUENCE_FIRST), { ort: web, targets: "all-linear" });
  const adapters = await Promise.all(Array.from({ length: ROWS }, (_, row) => randomAdapter(model, row + 20)));
  const { y } = await model.run({ x: X }, { adapters });
  const together = await model.gradients({ feeds: { x: X }, loss: vjp({ y: SEED }) }, { adapters });
  for (const [row, adapter] of adapters.entries()) {
    const feeds = { x: rowOf(X, row) };
    const alone = await model.run(feeds, { adapters: adapter });
    const part = (y!.data as Float32Array).slice(row * TOKENS * OUT, (row + 1) * TOKENS * OUT);
    for (const [i, value] of part.entries()) expect(value).toBeCloseTo((alone.y!.data as Float32Array)[i]!, 6);
    const { gradients } = await model.gradients({ feeds, loss: vjp({ y: rowOf(SEED, row) }) }, { adapter });
    const [{ name }] = model.modules as unknown as readonly [{ name: string }];
    const [own, expected] = [together.gradients.get(adapter)!.get(name)!, gradients.get(adapter)!.get(name)!];
    for (const factor of ["loraA", "loraB"] as const)
      for (const [i, value] of own[factor].entries()) expect(value).toBeCloseTo(expected[factor][i]!, 6);
  }
});

test("a projection that onnxruntime fused with its activation takes its change before it", async () => {
  const gemm = (isFused: boolean) =>
    modelOf((builder) => {
      const flat = builder.op("Reshape", ["x", builder.ints(-1, IN)]);
      const activation = { kind: "string", value: "Relu" } as const;
      const product = isFused
        ? builder.op("FusedGemm", [flat, weight(builder)], { activation }, "com.microsoft")
        : builder.op("Relu", [builder.op("Gemm", [flat, weight(builder)])]);
      return builder.op("Reshape", [product, builder.ints(-1, TOKENS, OUT)]);
    });
  const request = { feeds: { x: X }, loss: vjp({ y: SEED }) };
  const [fused, plain] = await Promise.all(
    [true, false].map(async (isFused) => {
      await using model = await openModel(encodeModel(gemm(isFused)), { ort: web, targets: "all-linear" });
      const adapter = await randomAdapter(model, 3);
      const [module] = model.modules;
      for (const values of [adapter.getAdapter(module!.name)!.loraA]) values.set(numbers(values.length, 5));
      const { y } = await model.run(request.feeds, { adapters: adapter });
      const { gradients } = await model.gradients(request, { adapter });
      return { y: y!.data, gradient: gradients.get(adapter)!.get(module!.name)!.loraA };
    }),
  );
  expect(fused).toEqual(plain);
});
