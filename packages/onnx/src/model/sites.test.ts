import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MicroLora } from "microlora";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { HostTensor } from "../base/host-tensor.js";
import { type LoraModel, openModel, vjp } from "../index.js";
import { mergeIntoModel } from "../node.js";
import { randomOf, web } from "../testing/models.test-support.js";
import { SmallModel } from "../testing/small-models.test-support.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "microlora-sites-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A model with a module called `fc`, from x to y; and how far a merge into it may be off, over what the adapter changes. */
interface Kind {
  readonly bytes: Uint8Array;
  readonly feeds: Readonly<Record<string, HostTensor>>;
  readonly merge: number | "unsupported-type";
  readonly gradients?: boolean;
}

const random = randomOf(3);
const x = (...dims: number[]): Record<string, HostTensor> => ({
  x: {
    type: "float32",
    dims,
    data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * random()),
  },
});
const ids = { x: { type: "int64", dims: [2, 3], data: BigInt64Array.of(1n, 4n, 2n, 0n, 5n, 4n) } };

function linear(write: (m: SmallModel) => string, feeds = x(2, 3, 8), merge: Kind["merge"] = 1e-5): Kind {
  const m = new SmallModel();
  m.input("x", ["batch", "steps", 8]);
  return { bytes: m.output("y", write(m), ["batch", "steps", 6]).bytes(), feeds, merge };
}

function quantisedTable(m: SmallModel, name: string, rows: number, columns: number, scales: number) {
  const draw = randomOf(17);
  const codes = Array.from({ length: rows * columns }, () => Math.round(200 * draw()));
  m.constant(`${name}.codes`, m.tensor("int8", [rows, columns], codes));
  m.constant(
    `${name}.scale`,
    m.tensor(
      "float32",
      scales === 1 ? [] : [scales],
      Array.from({ length: scales }, (_, i) => 0.01 + i / 1000),
    ),
  );
  m.constant(
    `${name}.zero`,
    m.tensor(
      "int8",
      scales === 1 ? [] : [scales],
      Array.from({ length: scales }, () => 0),
    ),
  );
  return [`${name}.codes`, `${name}.scale`, `${name}.zero`] as const;
}

const image = (write: (m: SmallModel) => string, out: (number | string)[], feeds = x(2, 3, 5, 4)): Kind => {
  const m = new SmallModel();
  m.input("x", ["batch", 3, "height", "width"]);
  return { bytes: m.output("y", write(m), out).bytes(), feeds, merge: 1e-5 };
};

const KINDS: Readonly<Record<string, Kind>> = {
  "a weight in a Constant node": linear((m) => {
    const value = m.tensor("float32", [8, 6], m.numbers(48));
    const weight = m.builder.op("Constant", [], { value: { kind: "tensor", value } });
    return m.node("fc", "MatMul", ["x", weight]);
  }),
  "a weight behind Reshape": linear((m) =>
    m.node("fc", "MatMul", ["x", m.builder.op("Reshape", [m.weight("W", [8, 2, 3]), m.ints(8, -1)])]),
  ),
  "a weight behind Transpose and Cast": linear((m) => {
    const turned = m.builder.op("Transpose", [m.weight("W", [6, 8], "float64")], { perm: [1, 0] });
    return m.node("fc", "MatMul", ["x", m.builder.op("Cast", [turned], { to: 1 })]);
  }),
  "an Einsum": linear((m) => {
    const heads = m.node("fc", "Einsum", ["x", m.weight("W", [8, 2, 3])], { equation: "abc,cde->abde" });
    return m.builder.op("Reshape", [heads, m.ints(0, 0, 6)]);
  }),
  "an Einsum that joins heads": linear((m) => {
    const heads = m.builder.op("Reshape", ["x", m.ints(0, 0, 2, 4)]);
    return m.node("fc", "Einsum", [heads, m.weight("W", [2, 4, 6])], { equation: "abcd,cde->abe" });
  }),
  "a weight on the left": linear((m) => {
    const turned = m.builder.op("Transpose", ["x"], { perm: [0, 2, 1] });
    const product = m.node("fc", "MatMul", [m.weight("W", [6, 8]), turned]);
    return m.builder.op("Transpose", [product], { perm: [0, 2, 1] });
  }),
  "int8 behind DequantizeLinear": linear(
    (m) => m.node("fc", "MatMul", ["x", m.builder.op("DequantizeLinear", quantisedTable(m, "W", 8, 6, 1))]),
    x(2, 3, 8),
    0.1,
  ),
  "int8 by channel behind DequantizeLinear": linear(
    (m) =>
      m.node("fc", "MatMul", ["x", m.builder.op("DequantizeLinear", quantisedTable(m, "W", 8, 6, 6), { axis: 1 })]),
    x(2, 3, 8),
    0.1,
  ),
  MatMulInteger: linear(
    (m) => {
      const [codes, scale, zero] = quantisedTable(m, "W", 8, 6, 1);
      const [q, s, z] = m.builder.ops("DynamicQuantizeLinear", ["x"], 3) as [string, string, string];
      const product = m.node("fc", "MatMulInteger", [q, codes, z, zero]);
      return m.builder.op("Mul", [m.builder.op("Cast", [product], { to: 1 }), m.builder.op("Mul", [s, scale])]);
    },
    x(2, 3, 8),
    0.1,
  ),
  MatMulNBits: (() => {
    const m = new SmallModel(21);
    m.input("x", ["batch", "steps", 32]);
    const codes = Uint8Array.from({ length: 6 * 2 * 8 }, (_, i) => (i * 37) % 256);
    m.constant("W", m.tensor("uint8", [6, 2, 8], codes));
    m.constant(
      "W.scale",
      m.tensor(
        "float32",
        [12],
        Array.from({ length: 12 }, (_, i) => 0.05 + i / 500),
      ),
    );
    const attributes = { K: 32, N: 6, bits: 4, block_size: 16 };
    const y = m.node("fc", "MatMulNBits", ["x", "W", "W.scale"], attributes, "com.microsoft");
    return { bytes: m.output("y", y, ["batch", "steps", 6]).bytes(), feeds: x(2, 3, 32), merge: 0.5 };
  })(),
  "a table of codes": (() => {
    const m = new SmallModel();
    m.input("x", ["batch", "steps"], "int64");
    const [codes, scale, zero] = quantisedTable(m, "W", 7, 6, 1);
    const rows = m.node("fc", "Gather", [codes, "x"]);
    const y = m.builder.op("DequantizeLinear", [rows, scale, zero]);
    return { bytes: m.output("y", y, ["batch", "steps", 6]).bytes(), feeds: ids, merge: 0.1 };
  })(),
  "a table that a head has too": (() => {
    const m = new SmallModel();
    m.input("x", ["batch", "steps"], "int64");
    const rows = m.node("fc", "Gather", [m.weight("W", [7, 6]), "x"]);
    const head = m.builder.op("Transpose", ["W"], { perm: [1, 0] });
    const y = m.node("head", "MatMul", [rows, head]);
    return { bytes: m.output("y", y, ["batch", "steps", 7]).bytes(), feeds: ids, merge: 1e-5 };
  })(),
  "a weight that a branch has too": linear((m) => {
    m.weight("W", [8, 6]);
    const y = m.node("fc", "MatMul", ["x", "W"]);
    const branch = (op: string) => {
      const info = { name: `${op} out`, type: undefined };
      const node = { name: op, op, domain: "", inputs: ["x", "W"], outputs: [info.name], attributes: {} };
      const graph = { name: op, nodes: [node], inputs: [], outputs: [info], initializers: new Map(), types: new Map() };
      return { kind: "graph", value: graph } as const;
    };
    const sum = m.builder.op("ReduceSum", ["x"], { keepdims: 0 });
    const isMore = m.builder.op("Greater", [sum, m.builder.scalar(0)]);
    const inside = m.builder.op("If", [isMore], { then_branch: branch("MatMul"), else_branch: branch("MatMul") });
    return m.builder.op("Add", [y, m.builder.op("Mul", [inside, m.builder.scalar(0.5)])]);
  }),
  "a head in 16 bits that a table has too": (() => {
    const m = new SmallModel();
    m.input("x", ["batch", "steps"], "int64");
    m.weight("W", [7, 6], "float16");
    const rows = m.builder.op("Cast", [m.node("embed", "Gather", ["W", "x"])], { to: 1 });
    const wide = m.builder.op("Transpose", [m.builder.op("Cast", ["W"], { to: 1 })], { perm: [1, 0] });
    const y = m.node("fc", "MatMul", [rows, wide]);
    return { bytes: m.output("y", y, ["batch", "steps", 7]).bytes(), feeds: ids, merge: 1e-5 };
  })(),
  "a convolution of size 1": image(
    (m) => m.node("fc", "Conv", ["x", m.weight("W", [6, 3, 1, 1])]),
    ["batch", 6, "h", "w"],
  ),
  "a convolution with strides, pads and dilations": image(
    (m) =>
      m.node("fc", "Conv", ["x", m.weight("W", [6, 3, 3, 2]), m.weight("bias", [6])], {
        ...{ strides: [2, 1], pads: [1, 0, 1, 1], dilations: [1, 2], kernel_shape: [3, 2] },
      }),
    ["batch", 6, "h", "w"],
  ),
  "a convolution padded by itself": image(
    (m) =>
      m.node("fc", "Conv", ["x", m.weight("W", [6, 3, 3, 3])], { auto_pad: { kind: "string", value: "SAME_UPPER" } }),
    ["batch", 6, "h", "w"],
  ),
};

async function filled(model: LoraModel, seed = 1): Promise<MicroLora> {
  const adapter = await model.createAdapter({ rank: 2, seed });
  const draw = randomOf(seed + 20);
  for (const { name } of model.modules) adapter.getAdapter(name)!.loraB.set(adapter.getAdapter(name)!.loraB.map(draw));
  return adapter;
}

const dataOf = (tensor: HostTensor | undefined) => tensor!.data as Float32Array;
const furthest = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

test.each(Object.entries(KINDS))("%s: adapters, rows, gradients, merging", async (name, { bytes, feeds, merge }) => {
  await using model = await openModel({ model: bytes }, { ort: web, targets: ["fc"] });
  const adapter = await filled(model);
  const base = dataOf((await model.run(feeds)).y);
  expect(dataOf((await model.run(feeds, { adapters: await model.createAdapter() })).y)).toEqual(base);
  const { y } = await model.run(feeds, { adapters: adapter });
  const beside = dataOf(y);
  const change = furthest(beside, base);
  expect(change).toBeGreaterThan(0.01);

  const rows = dataOf((await model.run(feeds, { adapters: [adapter, null] })).y);
  const half = rows.length / 2;
  expect(furthest(rows.subarray(0, half), beside.subarray(0, half))).toBeLessThan(1e-5);
  expect(furthest(rows.subarray(half), base.subarray(half))).toBeLessThan(1e-5);

  const draw = randomOf(31);
  const weights = { type: "float32", dims: y!.dims, data: beside.map(draw) };
  for (const options of [{ adapter }, { adapters: [adapter, await filled(model, 2)] }]) {
    const { gradients } = await model.gradients({ feeds, loss: vjp({ y: weights }) }, options);
    const lossOf = async () => {
      const run = await model.run(feeds, { adapters: options.adapters ?? adapter });
      return dataOf(run.y).reduce((sum, value, i) => sum + value * weights.data[i]!, 0);
    };
    for (const [module, gradient] of gradients.get(adapter)!) {
      for (const block of ["loraA", "loraB"] as const) {
        const own = adapter.getAdapter(module)![block];
        const start = own.slice();
        const direction = own.map(draw);
        const at = async (step: number) => {
          own.set(start.map((value, i) => value + step * direction[i]!));
          return lossOf();
        };
        const numeric = ((await at(1 / 32)) - (await at(-1 / 32))) * 16;
        own.set(start);
        const exact = direction.reduce((sum, value, i) => sum + value * gradient[block][i]!, 0);
        expect(Math.abs(exact - numeric)).toBeLessThan(2e-3 * (1 + Math.abs(numeric)));
      }
    }
  }

  const [from, to] = [join(folder, `${name}.onnx`), join(folder, "merged", `${name}.onnx`)];
  await writeFile(from, bytes);
  const report = await mergeIntoModel(from, to, adapter);
  expect(report.modules.map(({ module }) => module)).toEqual(model.modules.map((each) => each.name));
  const session = await web.InferenceSession.create(await readFile(to));
  const fed = Object.entries(feeds).map(([key, { type, data, dims }]) => [
    key,
    new (web.Tensor as never as typeof Tensor)(type, data, dims),
  ]);
  const merged = dataOf((await session.run(Object.fromEntries(fed))).y);
  await session.release();
  expect(furthest(merged, beside)).toBeLessThan((merge as number) * Math.max(1, change));
  const worst = Math.max(...report.modules.map((each) => each.quantisationError));
  if (merge === 1e-5) expect(worst).toBe(0);
  else expect(worst).toBeGreaterThan(0);
});

declare const Tensor: new (type: string, data: unknown, dims: readonly number[]) => HostTensor;
