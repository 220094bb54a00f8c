import { refuseArgument } from "../../base/check.js";
import { OnnxError } from "../../base/errors.js";
import { symbol } from "../dim.js";
import type { Dim, Graph, Model, ModelFunction, Node, Tensor, TensorType, ValueInfo } from "../ir.js";
import { sortNodes } from "../order.js";
import { decodeAttribute, type Inner } from "./attribute.js";
import { decode } from "./codec.js";
import type {
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  StringStringEntryProto,
  TensorShapeProto_Dimension,
  TypeProto,
  ValueInfoProto,
} from "./onnx.generated.js";
import { outline } from "./outline.js";
import { type ByteSource, memorySource } from "./source.js";
import { decodeTensor, dtypeOf } from "./tensor.js";

/**
 * Reads an ONNX model; its weights stay views of `bytes`.
 *
 * @throws OnnxError `not-onnx`, `truncated`, `external-data`, `unsupported-type` or, for a file whose parts contradict each
 * other (values defined twice or never, cycles, lengths that do not match), `invalid-graph`
 */
export function readModel(bytes: Uint8Array): Model {
  if (!(bytes instanceof Uint8Array)) refuseArgument("bytes", bytes, "Pass the bytes of an .onnx file");
  return readModelFrom(memorySource(bytes));
}

/**
 * Reads a model of which only the outline is brought into memory, if `source` is a file.
 *
 * @param inlineBelow bytes below which a tensor is brought into memory too; 1024 by default
 * @see readModel
 */
export function readModelFrom(source: ByteSource, inlineBelow?: number): Model {
  refuseOther(source);
  return new Decoder(source).model(parse(outline(source, inlineBelow)));
}

/** What people get in place of a model, by its first characters. */
const OTHERS: readonly (readonly [start: RegExp, what: string, remedy: string])[] = [
  [/^version https:\/\/git-lfs/, "a Git LFS pointer", "Get the file itself: git lfs pull, or download it"],
  [/^\s*<(!doctype|html|\?xml)/i, "a web page", "Check the address: a server answers so where there is no such file"],
  [/^\s*[{[]/, "a text in JSON", "Give an .onnx file"],
  [/^PK/, "a ZIP archive", "Unpack it, and give the .onnx file in it"],
  [/^GGUF/, "a GGUF file", "Give the model as .onnx"],
  [/^ORTM|^....ORTM/s, "a model in onnxruntime's own format", "Give the .onnx file that it was made from"],
];

function refuseOther(source: ByteSource): void {
  const start = new TextDecoder("latin1").decode(source.read(0, Math.min(64, source.length)));
  const found = OTHERS.find(([pattern]) => pattern.test(start));
  if (found === undefined) return;
  throw new OnnxError("not-onnx", "byte 0", `this is ${found[1]}, and no ONNX model`, found[2]);
}

function parse(bytes: Uint8Array): ModelProto {
  try {
    return decode("ModelProto", bytes);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxError("not-onnx", "the model", `this is no ONNX model: ${problem}`, "Give an .onnx file", { cause });
  }
}

class Decoder {
  readonly #source: ByteSource;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  model(proto: ModelProto): Model {
    const opsets = opsetsOf(proto.opsetImport);
    if (opsets.size === 0) {
      const problem = "it imports no operator set, or was cut before it did";
      throw new OnnxError("truncated", "the model", problem, "Get the whole file again");
    }
    return {
      irVersion: Number(proto.irVersion),
      producer: [proto.producerName, proto.producerVersion].filter(Boolean).join(" "),
      opsets,
      graph: this.graph(proto.graph!, new Set()),
      functions: proto.functions.map((each) => this.function(each)),
      metadata: new Map(Object.entries(entriesOf(proto.metadataProps))),
    };
  }

  /** @param outer values of the graphs around it */
  graph(proto: GraphProto, outer: ReadonlySet<string>): Graph {
    if (proto.sparseInitializer.length > 0) {
      const where = `graph ${proto.name}`;
      throw new OnnxError("unsupported-type", where, "it has sparse weights", "Export the model with dense weights");
    }
    const initializers = this.initializers(proto);
    const inputs = proto.input.filter(({ name }) => !initializers.has(name)).map(valueInfo);
    const known = new Set([...initializers.keys(), ...inputs.map(({ name }) => name)]);
    const inside = new Set([...outer, ...known, ...proto.node.flatMap(({ output }) => output)]);
    const nodes = proto.node.map((node) => this.node(node, (graph) => this.graph(graph, inside)));
    const outputs = proto.output.map(valueInfo);
    return {
      name: proto.name,
      nodes: sortNodes(nodes, { known, outer, outputs: outputs.map(({ name }) => name) }),
      inputs,
      outputs,
      initializers,
      types: typesOf([...inputs, ...outputs, ...proto.valueInfo.map(valueInfo)]),
    };
  }

  initializers(proto: GraphProto): Map<string, Tensor> {
    const initializers = new Map<string, Tensor>();
    for (const tensor of proto.initializer) {
      const where = `initializer ${JSON.stringify(tensor.name.slice(0, 80))}`;
      if (tensor.name === "" || initializers.has(tensor.name)) {
        throw new OnnxError("invalid-graph", where, "it is defined twice, or has no name", "Export the model again");
      }
      initializers.set(tensor.name, decodeTensor(tensor, this.#source, where));
    }
    return initializers;
  }

  node(proto: NodeProto, graph: Inner["graph"]): Node {
    const where = `node ${JSON.stringify((proto.name || proto.output[0] || "").slice(0, 80))} (${proto.opType})`;
    const inner: Inner = { graph, tensor: (tensor) => decodeTensor(tensor, this.#source, where) };
    const attributes = proto.attribute.map((each) => [each.name, decodeAttribute(each, inner, where)] as const);
    const metadata = entriesOf(proto.metadataProps);
    return {
      name: proto.name,
      op: withOverload(proto.opType, proto.overload),
      domain: standardDomain(proto.domain),
      inputs: proto.input,
      outputs: proto.output,
      attributes: Object.fromEntries(attributes),
      ...(Object.keys(metadata).length > 0 && { metadata }),
    };
  }

  function(proto: FunctionProto): ModelFunction {
    const where = `function ${JSON.stringify(proto.name.slice(0, 80))}`;
    const inside = new Set([...proto.input, ...proto.node.flatMap(({ output }) => output)]);
    const graph: Inner["graph"] = (each) => this.graph(each, inside);
    const inner: Inner = { graph, tensor: (tensor) => decodeTensor(tensor, this.#source, where) };
    const nodes = proto.node.map((node) => this.node(node, graph));
    return {
      name: withOverload(proto.name, proto.overload),
      domain: standardDomain(proto.domain),
      inputs: proto.input,
      outputs: proto.output,
      attributes: proto.attribute,
      defaults: Object.fromEntries(
        proto.attributeProto.map((each) => [each.name, decodeAttribute(each, inner, where)]),
      ),
      nodes: sortNodes(nodes, { known: new Set(proto.input), outputs: proto.output }),
      opsets: opsetsOf(proto.opsetImport),
    };
  }
}

function withOverload(name: string, overload: string): string {
  return overload === "" ? name : `${name} ${overload}`;
}

function standardDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

function opsetsOf(imports: ModelProto["opsetImport"]): Map<string, number> {
  return new Map(imports.map(({ domain, version }) => [standardDomain(domain), Number(version)]));
}

function entriesOf(entries: readonly StringStringEntryProto[]): Record<string, string> {
  return Object.fromEntries(entries.map(({ key, value }) => [key, value]));
}

function valueInfo({ name, type }: ValueInfoProto): ValueInfo {
  return { name, type: type && tensorType(name, type) };
}

function tensorType(name: string, { tensorType: tensor }: TypeProto): TensorType | undefined {
  const dtype = tensor && dtypeOf(tensor.elemType);
  return dtype && { dtype, shape: tensor.shape?.dim.map((dim, axis) => dimOf(dim, name, axis)) };
}

/** A size that the file leaves open gets a name of its own. */
function dimOf({ dimValue, dimParam }: TensorShapeProto_Dimension, name: string, axis: number): Dim {
  if (dimParam) return symbol(dimParam);
  const size = Number(dimValue ?? -1n);
  return Number.isSafeInteger(size) && size >= 0 ? size : symbol(`${name}:${axis}`);
}

function typesOf(infos: readonly ValueInfo[]): Map<string, TensorType> {
  return new Map(infos.flatMap(({ name, type }) => (type === undefined ? [] : [[name, type]])));
}
