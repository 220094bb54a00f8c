import type { Problem } from "../problem.js";

/** The LoRA forward y = (x A * scaling) B as the bytes of an ONNX model (opset 17); field numbers are those of onnx.proto. */
export function onnxModel(problem: Problem): Uint8Array {
  const { rank, inFeatures, outFeatures, scaling, weights } = problem;
  const loraA = new Float32Array(inFeatures * rank);
  for (let i = 0; i < inFeatures; i++) {
    for (let r = 0; r < rank; r++) loraA[i * rank + r] = weights[r * inFeatures + i]!;
  }
  const graph = [
    message(1, node("MatMul", ["x", "A"], "u")),
    message(1, node("Mul", ["u", "scaling"], "scaled")),
    message(1, node("MatMul", ["scaled", "B"], "y")),
    text(2, "lora"),
    message(5, tensor("A", [inFeatures, rank], loraA)),
    message(5, tensor("B", [rank, outFeatures], weights.subarray(rank * inFeatures))),
    message(5, tensor("scaling", [1], Float32Array.of(scaling))),
    message(11, valueInfo("x", [1, inFeatures])),
    message(12, valueInfo("y", [1, outFeatures])),
  ];
  return Buffer.concat([integer(1, 8), message(7, graph), message(8, [integer(2, 17)])]);
}

const FLOAT = 1;

function node(operator: string, inputs: readonly string[], output: string): Buffer[] {
  return [...inputs.map((input) => text(1, input)), text(2, output), text(4, operator)];
}

function tensor(name: string, shape: readonly number[], values: Float32Array): Buffer[] {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return [...shape.map((size) => integer(1, size)), integer(2, FLOAT), text(8, name), message(9, [bytes])];
}

function valueInfo(name: string, shape: readonly number[]): Buffer[] {
  const sizes = shape.map((size) => message(1, [integer(1, size)]));
  return [text(1, name), message(2, [message(1, [integer(1, FLOAT), message(2, sizes)])])];
}

function integer(field: number, value: number): Buffer {
  return Buffer.from([...varint(field << 3), ...varint(value)]);
}

function text(field: number, value: string): Buffer {
  return message(field, [Buffer.from(value)]);
}

function message(field: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([...varint((field << 3) | 2), ...varint(body.length)]), body]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
