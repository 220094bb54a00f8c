import { expect, test } from "vitest";
import type { DType, Model, Node, Tensor } from "../ir.js";
import { upcast } from "./upcast.js";

const node = (op: string, inputs: string[], output: string, attributes: Node["attributes"] = {}): Node => ({
  name: output,
  op,
  domain: "",
  inputs,
  outputs: [output],
  attributes,
});

function tensor(dtype: DType, ...bits: number[]): Tensor {
  const bytes = new Uint8Array(Uint16Array.from(bits).buffer);
  return { dtype, dims: [bits.length], data: { kind: "bytes", bytes } };
}

function modelOf(nodes: readonly Node[], initializers: ReadonlyMap<string, Tensor>, input: DType): Model {
  return {
    irVersion: 10,
    producer: "",
    opsets: new Map([["", 20]]),
    functions: [],
    metadata: new Map(),
    graph: {
      name: "",
      nodes,
      inputs: [{ name: "x", type: { dtype: input, shape: [1] } }],
      outputs: [{ name: "y", type: { dtype: input, shape: [1] } }],
      initializers,
      types: new Map(),
    },
  };
}

test("weights and inputs of 16 bits are cast where they are taken, and everything between is float32", () => {
  const nodes = [
    node("Mul", ["x", "w"], "product"),
    node("Cast", ["product"], "cast", { to: { kind: "int", value: 10 } }),
    node("ConstantOfShape", ["shape"], "fill", { value: { kind: "tensor", value: tensor("float16", 0xc100) } }),
    node("Add", ["cast", "fill"], "y"),
  ];
  const { model, changed } = upcast(modelOf(nodes, new Map([["w", tensor("float16", 0x3c00)]]), "float16"));
  expect(changed).toBe(true);
  expect(model.graph.nodes.map(({ op, inputs }) => [op, ...inputs])).toEqual([
    ["Cast", "w"],
    ["Cast", "x"],
    ["Mul", "x_float32", "w_float32"],
    ["Cast", "product"],
    ["ConstantOfShape", "shape"],
    ["Add", "cast", "fill"],
  ]);
  expect(model.graph.nodes[3]!.attributes.to).toEqual({ kind: "int", value: 1 });
  expect(model.graph.outputs[0]!.type!.dtype).toBe("float32");
  const fill = model.graph.nodes[4]!.attributes.value;
  if (fill?.kind !== "tensor" || fill.value.data.kind !== "bytes") throw new Error("no tensor in memory");
  expect([...new Float32Array(fill.value.data.bytes.buffer)]).toEqual([-2.5]);
});

test("the special values of 16 bits stay what they are", () => {
  const filled = (dtype: "float16" | "bfloat16", bits: number): number => {
    const fill = node("ConstantOfShape", ["shape"], "y", { value: { kind: "tensor", value: tensor(dtype, bits) } });
    const { value } = upcast(modelOf([fill], new Map(), "float32")).model.graph.nodes[0]!.attributes;
    if (value?.kind !== "tensor" || value.value.data.kind !== "bytes") throw new Error("no tensor in memory");
    return new Float32Array(value.value.data.bytes.buffer)[0]!;
  };
  expect(filled("float16", 0xfbff)).toBe(-65504);
  expect(filled("float16", 0xfc00)).toBe(Number.NEGATIVE_INFINITY);
  expect(filled("float16", 0x0001)).toBe(2 ** -24);
  expect(filled("float16", 0x7e00)).toBeNaN();
  expect(filled("bfloat16", 0xff80)).toBe(Number.NEGATIVE_INFINITY);
  expect(filled("bfloat16", 0x3fc0)).toBe(1.5);
});

test("a model without 16 bits is the same model", () => {
  const model = modelOf([node("Exp", ["x"], "y")], new Map(), "float32");
  expect(upcast(model)).toEqual({ model, changed: false });
});
