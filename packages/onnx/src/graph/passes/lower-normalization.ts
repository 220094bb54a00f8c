import { unsupported } from "../unsupported.js";
import { range } from "./lower-attention.js";
import { float, type Lowering, type Tools } from "./lowering.js";

/** com.microsoft.SkipLayerNormalization: the sum of input, skip and bias, normalised; its fourth output is the sum. */
export const skipLayerNormalization: Lowering = (tools) => {
  const [input, skip, gamma, beta, bias] = [0, 1, 2, 3, 4].map((i) => tools.input(i)) as [
    ...[string, string, string],
    ...[string, string],
  ];
  const sum = tools.plus(tools.op("Add", [input, skip]), bias);
  const inputs = [sum, gamma, ...(beta ? [beta] : [])];
  const attributes = { axis: -1, epsilon: float(tools.attribute("epsilon", 1e-12)) };
  const outputs = tools.builder.ops("LayerNormalization", inputs, tools.gives(1) || tools.gives(2) ? 3 : 1, attributes);
  return [outputs[0], outputs[1], outputs[2], sum];
};

/** com.microsoft.SkipSimplifiedLayerNormalization: the same without centring. */
export const skipSimplifiedLayerNormalization: Lowering = (tools) => {
  const [input, skip, gamma, bias] = [0, 1, 2, 3].map((i) => tools.input(i)) as [string, string, string, string];
  const sum = tools.plus(tools.op("Add", [input, skip]), bias);
  const attributes = { axis: -1, epsilon: float(tools.attribute("epsilon", 1e-12)) };
  const outputs = tools.builder.ops("SimplifiedLayerNormalization", [sum, gamma], tools.gives(2) ? 2 : 1, attributes);
  return [outputs[0], undefined, outputs[1], sum];
};

/** com.microsoft.EmbedLayerNormalization: word, position and segment embeddings summed and normalised; the mask counted. */
export const embedLayerNormalization: Lowering = (tools) => {
  const [ids, segments, words, positions, segmentTable, gamma, beta, mask, given] = Array.from({ length: 9 }, (_, i) =>
    tools.input(i),
  ) as [...[string, string, string, string, string], ...[string, string, string, string]];
  const at = given || tools.op("Unsqueeze", [range(tools, tools.dim(ids, 1)), tools.ints(0)]);
  const lookUp = (table: string, index: string) => tools.op("Gather", [table, index], { axis: 0 });
  const places = tools.op("Add", [lookUp(words, ids), lookUp(positions, at)]);
  const sum = segmentTable ? tools.op("Add", [places, lookUp(segmentTable, segments)]) : places;
  const epsilon = float(tools.attribute("epsilon", 1e-12));
  const result = tools.op("LayerNormalization", [sum, gamma, beta], { axis: -1, epsilon });
  return [result, tools.gives(1) ? maskCount(tools, ids, mask) : undefined, sum];
};

/** How many tokens of each row count, int32 [batch]; zeros without a mask. */
function maskCount(tools: Tools, ids: string, mask: string): string {
  if (mask) return tools.op("ReduceSum", [mask, tools.ints(1)], { keepdims: 0 });
  const zero = tools.builder.cast(tools.ints(0), "int32");
  return tools.op("Expand", [zero, tools.op("Shape", [ids], { end: 1 })]);
}

/** InstanceNormalization: each channel of each row by its own mean and deviation. */
export const instanceNormalization: Lowering = (tools) => {
  const [x, scale, bias] = [tools.input(0), tools.input(1), tools.input(2)];
  const channels = tools.op("Shape", [x], { start: 1, end: 2 });
  return [grouped(tools, x, channels, scale, bias)];
};

/** GroupNormalization of opset 21: each group of channels by its own mean and deviation, scaled by channel. */
export const groupNormalization: Lowering = (tools) => {
  const [x, scale, bias] = [tools.input(0), tools.input(1), tools.input(2)];
  const groups = tools.attribute("num_groups", 0);
  if (groups === 0) throw unsupported(tools.node, "num_groups is missing");
  return [grouped(tools, x, tools.ints(groups), scale, bias)];
};

/** x [batch, channels, …] as [batch, groups, rest], normalised over the rest, then scaled and shifted by channel. */
function grouped(tools: Tools, x: string, groups: string, scale: string, bias: string): string {
  const op: Tools["op"] = (...rest) => tools.op(...rest);
  const rows = op("Reshape", [x, op("Concat", [tools.ints(0), groups, tools.ints(-1)], { axis: 0 })]);
  const normal = op("Reshape", [standardized(tools, rows, tools.ints(-1)), op("Shape", [x])]);
  const column = (value: string) => {
    const ones = op("Expand", [tools.ints(1), op("Shape", [op("Shape", [x], { start: 2 })])]);
    return op("Reshape", [value, op("Concat", [tools.ints(-1), ones], { axis: 0 })]);
  };
  return op("Add", [op("Mul", [normal, column(scale)]), column(bias)]);
}

/** (x - mean) / sqrt(variance + epsilon) over some axes. */
function standardized(tools: Tools, x: string, axes: string, epsilon = tools.attribute("epsilon", 1e-5)): string {
  const mean = (value: string) => tools.op("ReduceMean", [value, axes], { keepdims: 1 });
  const centred = tools.op("Sub", [x, mean(x)]);
  const variance = mean(tools.op("Mul", [centred, centred]));
  return tools.op("Div", [centred, tools.op("Sqrt", [tools.op("Add", [variance, tools.scalar(epsilon)])])]);
}

/** MeanVarianceNormalization, over batch and space unless the node says otherwise. */
export const meanVarianceNormalization: Lowering = (tools) => {
  const axes = tools.node.attributes.axes;
  const over = axes?.kind === "ints" ? axes.value : [0, 2, 3];
  return [standardized(tools, tools.input(0), tools.ints(...over), 1e-9)];
};
