import { OnnxError } from "../../base/errors.js";
import { floatOf, intOf, intsOf, stringOf } from "../attributes.js";
import { GraphBuilder, toAttributes } from "../builder.js";
import type { Attributes, Graph, Model, Node } from "../ir.js";
import { mapGraphs, valueNames } from "../verbs.js";

/**
 * What derivatives and lowerings are written in. Where they need 4-bit types or scales by block, the version after it; not
 * elsewhere, since onnxruntime's QDQ propagation (1.30 to 1.32) writes graphs that it refuses itself from 21 on.
 */
export const OPSET = 20;
const OPSET_OF_BLOCKS = 21;
const IN_BLOCKS: ReadonlySet<string> = new Set(["MatMulNBits", "GroupNormalization"]);

/** The oldest version whose operators broadcast as today's do. */
const OLDEST = 7;

/** The IR version that came with opset 21. Source: onnx/docs/Versioning.md */
const IR_VERSION = 10;

/** Writes a node of an older version as one of the newer; `builder` takes constants and helping nodes. */
type Raise = (node: Node, builder: GraphBuilder, rank: number | undefined) => Node | readonly Node[];

/** The versions that changed an operator's meaning, oldest first. Other operators only gained features. */
const CHANGES: { readonly [op: string]: readonly (readonly [version: number, raise: Raise])[] } = {
  Slice: [[10, sliceInputs]],
  Upsample: [[10, upsample]],
  Resize: [[11, resize]],
  TopK: [[10, (node, builder) => attributesToInputs(node, builder, { k: 1 })]],
  Clip: [[11, clip]],
  Pad: [[11, pad]],
  Scatter: [[11, (node) => ({ ...node, op: "ScatterElements" })]],
  Dropout: [[12, dropout]],
  Softmax: [[13, flatSoftmax]],
  LogSoftmax: [[13, flatSoftmax]],
  Hardmax: [[13, flatSoftmax]],
  Squeeze: [[13, axesInput]],
  Unsqueeze: [[13, axesInput]],
  ReduceSum: [[13, axesInput]],
  Split: [
    [13, (node, builder) => attributesToInputs(node, builder, { split: 1 })],
    [18, splitCount],
  ],
  BatchNormalization: [[9, (node) => without(node, "spatial", "is_test", "momentum")]],
  GroupNormalization: [[21, groupNormalization]],
  GridSample: [[20, gridSample]],
  DFT: [[20, dft]],
  ...Object.fromEntries(
    ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"].map((name) => [
      `Reduce${name}`,
      [[18, axesInput]],
    ]),
  ),
};

/**
 * The model in opset 20 or, where it has weights in blocks, 21; as it is if it is of that or a later one.
 *
 * @throws OnnxError `unsupported-operator` below opset 7, and for operators that have no equal there
 */
export function raiseOpset(model: Model): Model {
  const from = model.opsets.get("") ?? OPSET;
  const irVersion = Math.max(model.irVersion, IR_VERSION);
  const to = model.graph.nodes.some(({ op }) => IN_BLOCKS.has(op)) ? OPSET_OF_BLOCKS : OPSET;
  if (from >= to) return irVersion === model.irVersion ? model : { ...model, irVersion };
  if (from < OLDEST) throw tooOld(`opset ${from}`, `it is older than ${OLDEST}`);
  const names = valueNames(model.graph);
  const builder = new GraphBuilder("raised/", (name) => names.has(name));
  const graph = raiseGraph(model.graph, { from, to }, builder);
  const initializers = new Map([...graph.initializers, ...builder.initializers]);
  return { ...model, irVersion, opsets: new Map([...model.opsets, ["", to]]), graph: { ...graph, initializers } };
}

/** From which version to which. */
interface Versions {
  readonly from: number;
  readonly to: number;
}

function raiseGraph(graph: Graph, versions: Versions, builder: GraphBuilder): Graph {
  const nodes = graph.nodes.flatMap((node) => {
    const attributes = mapGraphs(node.attributes, (inner) => raiseGraph(inner, versions, builder));
    const whole = attributes === node.attributes ? node : { ...node, attributes };
    const rank = graph.types.get(node.inputs[0] ?? "")?.shape?.length;
    return node.domain === "" ? raiseNode(whole, versions, builder, rank) : [whole];
  });
  return { ...graph, nodes };
}

function raiseNode(
  node: Node,
  { from, to }: Versions,
  builder: GraphBuilder,
  rank: number | undefined,
): readonly Node[] {
  let raised: readonly Node[] = [node];
  for (const [version, raise] of CHANGES[node.op] ?? []) {
    if (version > from && version <= to)
      raised = raised.flatMap((each) => (each.op === node.op ? raise(each, builder, rank) : each));
  }
  return raised;
}

function without(node: Node, ...names: readonly string[]): Node {
  const attributes = Object.fromEntries(Object.entries(node.attributes).filter(([name]) => !names.includes(name)));
  return { ...node, attributes };
}

/** Lists or numbers of integers that became inputs. @param places the input by attribute */
function attributesToInputs(node: Node, builder: GraphBuilder, places: Readonly<Record<string, number>>): Node {
  const inputs = [...node.inputs];
  for (const [name, place] of Object.entries(places)) {
    const attribute = node.attributes[name];
    const values = attribute?.kind === "int" ? [attribute.value] : intsOf(node.attributes, name);
    if (values === undefined) continue;
    while (inputs.length < place) inputs.push("");
    inputs[place] = builder.ints(...values);
  }
  return { ...without(node, ...Object.keys(places)), inputs };
}

function axesInput(node: Node, builder: GraphBuilder): Node {
  return attributesToInputs(node, builder, { axes: 1 });
}

function sliceInputs(node: Node, builder: GraphBuilder): Node {
  return attributesToInputs(node, builder, { starts: 1, ends: 2, axes: 3 });
}

function clip(node: Node, builder: GraphBuilder): Node {
  const bound = (name: string) => {
    const attribute = node.attributes[name];
    return attribute ? builder.scalar(floatOf(node.attributes, name, 0)) : "";
  };
  return { ...without(node, "min", "max"), inputs: [...node.inputs, bound("min"), bound("max")] };
}

function pad(node: Node, builder: GraphBuilder): Node {
  const value = builder.scalar(floatOf(node.attributes, "value", 0));
  const moved = attributesToInputs(without(node, "value"), builder, { pads: 1 });
  return { ...moved, inputs: [...moved.inputs, value] };
}

function dropout(node: Node): Node {
  return { ...without(node, "ratio"), inputs: node.inputs.slice(0, 1) };
}

function splitCount(node: Node): Node {
  if (node.inputs[1]) return node;
  const count = toAttributes({ num_outputs: node.outputs.length });
  return { ...node, inputs: node.inputs.slice(0, 1), attributes: { ...node.attributes, ...count } };
}

/** Before 13 everything from the axis on was one dimension. */
function flatSoftmax(node: Node, builder: GraphBuilder, rank: number | undefined): readonly Node[] {
  const axis = intOf(node.attributes, "axis", 1);
  const last = toAttributes({ axis: -1 });
  if (axis === -1 || (rank !== undefined && axis === rank - 1)) return [{ ...node, attributes: last }];
  const inner = new GraphBuilder(builder.fresh("softmax"));
  const [x = ""] = node.inputs;
  const flat = inner.op("Flatten", [x], { axis });
  const result = inner.op(node.op, [flat], { axis: -1 });
  const shape = inner.op("Shape", [x]);
  return [...inner.nodes, { ...node, op: "Reshape", inputs: [result, shape], attributes: {} }];
}

function upsample(node: Node, builder: GraphBuilder): Node {
  const scales = node.attributes.scales;
  const given = scales?.kind === "floats" ? builder.constant("float32", scales.value) : (node.inputs[1] ?? "");
  const mode = stringOf(node.attributes, "mode", "nearest");
  return resize({ ...node, op: "Resize", inputs: [node.inputs[0]!, given], attributes: toAttributes({ mode }) });
}

function resize(node: Node): Node {
  const mode = toAttributes({ coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" });
  const [x = "", scales = ""] = node.inputs;
  return { ...node, inputs: [x, "", scales], attributes: { ...node.attributes, ...mode } };
}

/** Before 21 a scale and a bias belonged to a group, since then to a channel. */
function groupNormalization(node: Node, builder: GraphBuilder): readonly Node[] {
  const groups = intOf(node.attributes, "num_groups", 1);
  const inner = new GraphBuilder(builder.fresh("group"));
  const [x = "", scale = "", bias = ""] = node.inputs;
  const channels = inner.op("Shape", [x], { start: 1, end: 2 });
  const each = inner.op("Div", [channels, builder.ints(groups)]);
  const shape = inner.op("Concat", [builder.ints(groups), each], { axis: 0 });
  const repeat = (value: string) => {
    const column = inner.op("Expand", [inner.op("Unsqueeze", [value, builder.ints(1)]), shape]);
    return inner.op("Reshape", [column, builder.ints(-1)]);
  };
  const inputs = [x, repeat(scale), repeat(bias)];
  return [...inner.nodes, { ...node, inputs }];
}

/** Before 20 the axis was an attribute, with another default. */
function dft(node: Node, builder: GraphBuilder): Node {
  const axis = builder.constant("int64", [intOf(node.attributes, "axis", 1)], []);
  return { ...without(node, "axis"), inputs: [node.inputs[0]!, node.inputs[1] ?? "", axis] };
}

const GRID_MODES: { readonly [mode: string]: string } = { bilinear: "linear", bicubic: "cubic" };

function gridSample(node: Node): Node {
  const mode = stringOf(node.attributes, "mode", "bilinear");
  const renamed: Attributes = toAttributes({ mode: GRID_MODES[mode] ?? mode });
  return { ...node, attributes: { ...node.attributes, ...renamed } };
}

function tooOld(where: string, problem: string): OnnxError {
  return new OnnxError("unsupported-operator", where, problem, "Export the model again with opset 13 or later");
}
