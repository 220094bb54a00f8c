import { OnnxError } from "../base/errors.js";
import { fromTensor, toTensor } from "../graph/elements/dense.js";
import type { Graph, Model, Node, Tensor } from "../graph/ir.js";
import { encodeModel } from "../graph/serde/write.js";
import { mapTensors } from "../graph/tensors.js";
import { freshName, prune, valueNames } from "../graph/verbs.js";
import { weightInput } from "./layout.js";
import type { Apart, Base, MergePlan } from "./plan.js";
import { addProduct, checkMerged, moduleNamed } from "./product.js";

/** Bytes that a file of protobuf can hold. */
const LARGEST = 2 ** 31 - 2 ** 20;

/**
 * The model's own file, with a weight of its own for each module that had one together with others: as the module's node takes it, so that
 * nothing stands between. Other weights in the file keep their bytes, except for the plan's changes.
 * @throws OnnxError `unsupported-type` for a model of two branches, or one that is too large to be written anew
 */
export function writeApart(base: Base, plan: MergePlan): Uint8Array {
  const [branch, second] = base.branches;
  if (branch === undefined || second !== undefined) refuseAnew(plan.apart[0]!, "the model is of two graphs");
  const { model } = branch;
  const names = valueNames(model.graph);
  const byNode = new Map<Node, string>();
  const initializers = new Map(model.graph.initializers);
  for (const [weight, parts] of byWeight(plan.apart)) {
    const name = freshName(`${weight}.merged`, names);
    initializers.set(name, ownWeight(base, parts));
    for (const { module } of parts) for (const { node } of module.sites) byNode.set(node, name);
  }
  const nodes = model.graph.nodes.map((node) => renamed(node, byNode.get(node), plan));
  const graph: Graph = { ...model.graph, nodes, initializers };
  const whole = inMemory({ ...model, graph: prune(graph) }, base, plan);
  return encodeModel(whole, { types: true });
}

/** Parts of a packed projection share their weight. */
function byWeight(apart: readonly Apart[]): ReadonlyMap<string, readonly Apart[]> {
  const groups = new Map<string, Apart[]>();
  for (const each of apart) {
    const key = `${each.site.weight} for ${each.module.slice?.of ?? each.module.name}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return groups;
}

function renamed(node: Node, name: string | undefined, { apart }: MergePlan): Node {
  if (name === undefined) return node;
  const site = apart.flatMap(({ module }) => module.sites).find((each) => each.node === node)!;
  return { ...node, inputs: node.inputs.with(weightInput(site), name) };
}

/** The stored matrix with the changes, turned and cast as the node takes it. */
function ownWeight(base: Base, parts: readonly Apart[]): Tensor {
  const [{ site, layout, module }] = parts as [Apart];
  const tensor = base.placed.get(site.weight)!;
  const { rows, columns, isInOut } = layout;
  const seen = base.branches[0]!.types.get(site.node.inputs[weightInput(site)]!);
  const dtype = seen?.dtype ?? tensor.dtype;
  const real = fromTensor({
    dtype: tensor.dtype,
    dims: [rows, columns],
    data: { kind: "bytes", bytes: base.read(tensor) },
  });
  if (real === undefined) refuseAnew(parts[0]!, `it is ${tensor.dtype}`);
  for (const { factors } of parts) addProduct(real.data, 0, factors);
  const whole = toTensor({ ...real, dtype });
  if (whole?.data.kind !== "bytes") refuseAnew(parts[0]!, `it is taken as ${dtype}`);
  checkMerged(module.name, dtype, fromTensor(whole)!.data);
  const takesInOut = site.kind !== "conv" && !site.isLeft && (site.node.attributes.transB?.value ?? 0) === 0;
  const dims = takesInOut ? [site.inFeatures, site.outFeatures] : [site.outFeatures, site.inFeatures];
  const { bytes } = whole.data;
  const turned = isInOut === takesInOut ? bytes : transposed(bytes, rows, columns, bytes.length / (rows * columns));
  const shape = site.kind === "linear" && !site.isSplit ? dims : (seen?.shape as readonly number[] | undefined);
  return { dtype, dims: shape ?? dims, data: { kind: "bytes", bytes: turned } };
}

function transposed(bytes: Uint8Array, rows: number, columns: number, width: number): Uint8Array {
  const turned = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * columns + column) * width;
      turned.set(bytes.subarray(from, from + width), (column * rows + row) * width);
    }
  }
  return turned;
}

/** The model with the tensors of its own file in memory, changed as planned. */
function inMemory(model: Model, base: Base, plan: MergePlan): Model {
  let total = 0;
  return mapTensors(model, (tensor) => {
    const { data } = tensor;
    if (data.kind !== "external" || data.location !== "") return tensor;
    total += data.length;
    if (total > LARGEST) refuseAnew(plan.apart[0]!, "the model's own file is too large to be written anew");
    const change = plan.changes.find((each) => each.location === "" && each.offset === data.offset);
    const bytes = base.read(tensor);
    return { ...tensor, data: { kind: "bytes", bytes: change === undefined ? bytes : change.apply(bytes, 0) } };
  });
}

function refuseAnew({ module }: Apart, problem: string): never {
  const remedy = "Merge it into the weights that the model is exported from, untied, and export them again";
  const told = `other modules have its weight too, and ${problem}`;
  throw new OnnxError("unsupported-type", moduleNamed(module.name), told, remedy);
}
