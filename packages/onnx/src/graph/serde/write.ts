import type { Attributes, Graph, Model, ModelFunction, Node, TensorType, ValueInfo } from "../ir.js";
import { encodeAttribute, type InnerEncoder } from "./attribute.js";
import { encode, type Fields } from "./codec.js";
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  NodeProto,
  TypeProto,
  ValueInfoProto,
} from "./onnx.generated.js";
import { CODES, encodeTensor, type WeightPlacement } from "./tensor.js";

/**
 * Writes a model. Weights that are in files stay there: with `self`, those in the model's own file too, so that a derived
 * model takes a few hundred KB. Types of inputs and outputs are written; types between them with `types` only, and what
 * exporters noted is not.
 *
 * @throws OnnxError `external-data` if elements are in the model's own file, on a disk, and `self` is not given
 */
export function encodeModel(model: Model, placement: WeightPlacement = {}): Uint8Array<ArrayBuffer> {
  const encoder = new Encoder(placement);
  return encode("ModelProto", {
    irVersion: BigInt(model.irVersion),
    producerName: model.producer,
    opsetImport: opsetsOf(model.opsets),
    graph: encoder.graph(model.graph),
    functions: model.functions.map((each) => encoder.function(each)),
    metadataProps: entriesOf(model.metadata),
  });
}

class Encoder {
  readonly #placement: WeightPlacement;
  readonly #inner: InnerEncoder;

  constructor(placement: WeightPlacement) {
    this.#placement = placement;
    this.#inner = {
      tensor: (tensor) => encodeTensor("", tensor, placement),
      graph: (graph) => this.graph(graph),
    };
  }

  graph(graph: Graph): Fields<GraphProto> {
    return {
      name: graph.name,
      node: graph.nodes.map((node) => this.node(node)),
      initializer: [...graph.initializers].map(([name, tensor]) => encodeTensor(name, tensor, this.#placement)),
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
      valueInfo: this.#placement.types ? typesBetween(graph) : [],
    };
  }

  node(node: Node): Fields<NodeProto> {
    const [opType, overload = ""] = node.op.split(" ");
    return {
      name: node.name,
      opType: opType!,
      overload,
      domain: node.domain,
      input: [...node.inputs],
      output: [...node.outputs],
      attribute: this.attributes(node.attributes),
    };
  }

  function(each: ModelFunction): Fields<FunctionProto> {
    const [name, overload = ""] = each.name.split(" ");
    return {
      name: name!,
      overload,
      domain: each.domain,
      input: [...each.inputs],
      output: [...each.outputs],
      attribute: [...each.attributes],
      attributeProto: this.attributes(each.defaults),
      node: each.nodes.map((node) => this.node(node)),
      opsetImport: opsetsOf(each.opsets),
    };
  }

  attributes(attributes: Attributes): Fields<AttributeProto>[] {
    return Object.entries(attributes).map(([name, attribute]) => encodeAttribute(name, attribute, this.#inner));
  }
}

function opsetsOf(opsets: ReadonlyMap<string, number>) {
  return [...opsets].map(([domain, version]) => ({ domain, version: BigInt(version) }));
}

function entriesOf(entries: Iterable<readonly [string, string]>) {
  return [...entries].map(([key, value]) => ({ key, value }));
}

function typesBetween(graph: Graph) {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const values = graph.nodes.flatMap((node) => node.outputs).filter((name) => name !== "" && !outputs.has(name));
  return values.flatMap((name) => (graph.types.has(name) ? valueInfo({ name, type: graph.types.get(name) }) : []));
}

function valueInfo({ name, type }: ValueInfo): Fields<ValueInfoProto> {
  return type === undefined ? { name } : { name, type: typeOf(type) };
}

function typeOf({ dtype, shape }: TensorType): Fields<TypeProto> {
  const dim = shape?.map((size) => (typeof size === "number" ? { dimValue: BigInt(size) } : { dimParam: size }));
  return { tensorType: { elemType: CODES[dtype], ...(dim && { shape: { dim } }) } };
}
