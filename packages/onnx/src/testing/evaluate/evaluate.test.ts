import { expect, test } from "vitest";
import { type Dense, dense, fromTensor, toTensor } from "../../graph/elements/dense.js";
import type { Tensor } from "../../graph/ir.js";
import { operatorCases } from "../../graph/operators.test-support.js";
import { EVALUATORS, evaluateGraph } from "./evaluate.js";

const cases = operatorCases().filter(({ model }) => Object.hasOwn(EVALUATORS, model.graph.nodes[0]!.op));

/** The largest error over 1 + |expected|; infinite where one is no number and the other is. */
function errorOf(actual: Dense, expected: Dense): number {
  return expected.data.reduce((worst, value, index) => {
    const seen = actual.data[index]!;
    const error = Object.is(seen, value) ? 0 : Math.abs(seen - value) / (1 + Math.abs(value));
    return Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  }, 0);
}

test("there are hundreds of cases", () => {
  expect(cases.length).toBeGreaterThan(300);
});

test.each(cases)("$name gives what ONNX's own test expects", ({ model, inputs, outputs }) => {
  const values = evaluateGraph(model.graph, inputs, model.opsets.get("")!);
  for (const [name, expected] of outputs) {
    const actual = values.get(name)!;
    expect([actual.dtype, actual.dims]).toEqual([expected.dtype, expected.dims]);
    expect(errorOf(actual, expected)).toBeLessThan(expected.dtype === "float16" ? 2e-3 : 1e-5);
  }
});

test.each([
  [
    "float16",
    [0x3c00, 0x0001, 0xfbff, 0x7c00, 0x8000, 0x3555],
    [1, 2 ** -24, -65504, Number.POSITIVE_INFINITY, -0, 0.333251953125],
  ],
  ["bfloat16", [0x3f80, 0xc2f7, 0x0080, 0x7f80], [1, -123.5, 2 ** -126, Number.POSITIVE_INFINITY]],
] as const)("%s is read and written bit by bit", (dtype, bits, values) => {
  const tensor: Tensor = {
    dtype,
    dims: [bits.length],
    data: { kind: "bytes", bytes: new Uint8Array(Uint16Array.from(bits).buffer) },
  };
  expect([...fromTensor(tensor)!.data]).toEqual(values);
  expect(toTensor(dense(dtype, [values.length], values))).toEqual(tensor);
});

test("16-bit floats are rounded to the nearest, ties to even", () => {
  const rounded = (dtype: "float16" | "bfloat16", value: number) =>
    fromTensor(toTensor(dense(dtype, [], [value]))!)!.data[0];
  expect(rounded("float16", 1 + 2 ** -11)).toBe(1);
  expect(rounded("float16", 1 + 3 * 2 ** -11)).toBe(1 + 2 ** -9);
  expect(rounded("float16", 65519)).toBe(65504);
  expect(rounded("float16", 2 ** -25)).toBe(0);
  expect(rounded("bfloat16", 1 + 2 ** -8)).toBe(1);
  expect(rounded("bfloat16", 1 + 3 * 2 ** -8)).toBe(1 + 2 ** -6);
});

test("4-bit integers are read low nibble first", () => {
  const bytes = Uint8Array.of(0x8f, 0x07);
  const tensor = (dtype: "int4" | "uint4"): Tensor => ({ dtype, dims: [3], data: { kind: "bytes", bytes } });
  expect([...fromTensor(tensor("int4"))!.data]).toEqual([-1, -8, 7]);
  expect([...fromTensor(tensor("uint4"))!.data]).toEqual([15, 8, 7]);
});
