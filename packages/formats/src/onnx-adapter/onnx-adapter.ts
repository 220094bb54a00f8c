import { FormatError, shown } from "../base/errors.js";
import type { EncodeOptions, FileFormat } from "../format.js";
import { storeFloats, toFloats } from "../picture/floats.js";
import { checkLoraFile, type LoraFile, type LoraTarget, PLAIN_FILE, scalingOf } from "../picture/lora-file.js";
import { refuseParts } from "../picture/refuse-parts.js";
import { refuseReplaced } from "../picture/replaced.js";
import type { Tensor } from "../picture/tensor-file.js";
import { transpose } from "../picture/transpose.js";
import { isOnnxAdapter, readOnnxAdapter, writeOnnxAdapter } from "./container.js";
import { namesToNotes, parameterNames, parseParameter } from "./parameter-names.js";

/**
 * `.onnx_adapter` of onnxruntime, with the names and layout of Olive's `convert-adapters`: A [in, rank] and B [rank, out]
 * of each module, the scaling folded into B.
 */
export const onnxAdapter: FileFormat = {
  title: "onnx_adapter of onnxruntime",
  extension: ".onnx_adapter",
  matches: isOnnxAdapter,
  decode,
  encode,
};

const VERSIONS = {
  adapterVersion: "onnx_adapter.adapter_version",
  modelVersion: "onnx_adapter.model_version",
} as const;

function decode(bytes: Uint8Array): LoraFile {
  const { parameters, adapterVersion, modelVersion } = readOnnxAdapter(bytes);
  const parts = { A: new Map<string, Tensor>(), B: new Map<string, Tensor>() };
  for (const [name, tensor] of parameters) {
    const { module, factor } = parseParameter(name) ?? refuseName(name);
    const map = parts[factor];
    if (map.has(module))
      throw new FormatError("duplicate-name", shown(name), "is there twice", "Leave one of them out");
    map.set(module, tensor);
  }
  for (const module of [...parts.A.keys(), ...parts.B.keys()]) {
    if (parts.A.has(module) && parts.B.has(module)) continue;
    const problem = `lacks its ${parts.A.has(module) ? "lora_B" : "lora_A"}`;
    throw new FormatError("missing-tensor", shown(module), problem, "Write it again with both");
  }
  if (parts.A.size === 0) {
    throw new FormatError("missing-tensor", "file", "holds no lora_A and lora_B", "Write it again with both");
  }
  return checkLoraFile({
    ...PLAIN_FILE,
    targets: [...parts.A].map(([module, a]) => targetOf(module, a, parts.B.get(module)!)),
    notes: new Map([
      [VERSIONS.adapterVersion, String(adapterVersion)],
      [VERSIONS.modelVersion, String(modelVersion)],
      ...namesToNotes([...parameters.keys()]),
    ]),
  });
}

function targetOf(module: string, a: Tensor, b: Tensor): LoraTarget {
  const [inFeatures = 0, rank = 0] = a.shape;
  const [rankOfB, outFeatures = 0] = b.shape;
  if (a.shape.length !== 2 || b.shape.length !== 2 || rank !== rankOfB) {
    const problem = `has A [${a.shape.join(", ")}] and B [${b.shape.join(", ")}]`;
    throw new FormatError("bad-shape", shown(module), problem, "Give A [in, rank] and B [rank, out]");
  }
  const floatsOfA = toFloats(a, `${module}.lora_A`);
  return {
    module,
    kind: "linear",
    rank,
    inFeatures,
    outFeatures,
    alpha: rank,
    rsLora: false,
    loraA: transpose(floatsOfA, inFeatures, rank),
    loraB: toFloats(b, `${module}.lora_B`),
    dtype: a.dtype === "F16" || a.dtype === "BF16" ? a.dtype : "F32",
    weightLayout: "out-in",
  };
}

function encode(file: LoraFile, { dtype, parameterNames: graph }: EncodeOptions = {}): Uint8Array {
  const { targets, notes } = checkLoraFile(file);
  refuseReplaced(file, "onnx_adapter");
  refuseParts(targets, "a graph of Olive's", ["bias", "magnitude", "embedding", "convolution"]);
  const namesOf = parameterNames(file, graph);
  const parameters = new Map<string, Tensor>();
  for (const target of targets) {
    const { module, rank, inFeatures, outFeatures, loraA, loraB } = target;
    const names = namesOf(module);
    const scaling = scalingOf(target);
    const scaledB = loraB.map((value) => value * scaling);
    const a = transpose(loraA, rank, inFeatures);
    for (const [name, values, shape] of [
      [names.A, a, [inFeatures, rank]],
      [names.B, scaledB, [rank, outFeatures]],
    ] as const) {
      if (parameters.has(name)) {
        throw new FormatError("duplicate-name", shown(name), "would be two modules' parameter", "Rename one of them");
      }
      parameters.set(name, storeFloats(values, shape, dtype ?? target.dtype, name));
    }
  }
  return writeOnnxAdapter({
    adapterVersion: versionOf(notes, VERSIONS.adapterVersion),
    modelVersion: versionOf(notes, VERSIONS.modelVersion),
    parameters,
  });
}

function versionOf(notes: LoraFile["notes"], key: string): number {
  const version = Number(notes.get(key) ?? 1);
  if (Number.isInteger(version) && Math.abs(version) < 2 ** 31) return version;
  throw new FormatError("bad-value", key, `is ${shown(notes.get(key))}`, "Give a 32-bit integer");
}

function refuseName(name: string): never {
  const isQuantized = name.includes(".quant.");
  throw new FormatError(
    isQuantized ? "unsupported-variant" : "unexpected-tensor",
    shown(name),
    isQuantized ? "is quantized" : "is no lora_A.weight or lora_B.weight",
    "Convert the adapter without quantization, or feed it to its graph as it is with onnxAdapterFeeds",
  );
}
