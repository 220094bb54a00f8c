import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type BaseModel, foldReplaced, type LoraFile, type Tensor, unflattenModules } from "@microlora/formats";
import { ModelTensors, readBaseModel, refuseLookalikeFile } from "@microlora/formats/node";
import { readModelFile } from "@microlora/onnx/node";
import { requireFile } from "../files.js";
import { ofFile } from "../refusal.js";

/** What `--base` gave, each part where some file had it. */
export interface Bases extends AsyncDisposable {
  /** What GGUF needs of the base model. */
  readonly facts: { readonly base?: BaseModel };
  /** The base model's own weights. */
  readonly tensors: ModelTensors | undefined;
  /** The names of an ONNX graph's inputs and initializers. */
  readonly graph: { readonly parameterNames?: readonly string[] };
}

/** Opens the files of `--base`; a folder has a configuration, weights, or both. @throws FormatError; OnnxError */
export async function readBases(paths: readonly string[]): Promise<Bases> {
  let base: BaseModel | undefined;
  let tensors: ModelTensors | undefined;
  let parameterNames: readonly string[] | undefined;
  for (const path of paths) {
    if (path.endsWith(".onnx")) parameterNames = await ofFile(path, () => namesOfGraph(path));
    else if (path.endsWith(".safetensors") || (await isFolderOfWeights(path))) {
      tensors ??= await ofFile(path, () => ModelTensors.open(path));
      if (await isThere(join(path, "config.json"))) base ??= await factsIfKnown(path);
    } else base ??= await ofFile(path, () => readBaseModel(path));
  }
  return {
    facts: base === undefined ? {} : { base },
    graph: parameterNames === undefined ? {} : { parameterNames },
    tensors,
    [Symbol.asyncDispose]: async () => tensors?.[Symbol.asyncDispose](),
  };
}

/** A folder of weights may be of a model that llama.cpp does not know: that matters to GGUF only. */
async function factsIfKnown(folder: string): Promise<BaseModel | undefined> {
  return readBaseModel(folder).catch((error: { code?: unknown }) => {
    if (error.code === "unsupported-variant") return undefined;
    throw error;
  });
}

async function isFolderOfWeights(path: string): Promise<boolean> {
  const isWeights = ["model.safetensors", "model.safetensors.index.json"].map((name) => isThere(join(path, name)));
  return (await Promise.all(isWeights)).some(Boolean);
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function namesOfGraph(path: string): Promise<readonly string[]> {
  await requireFile(path);
  await refuseLookalikeFile(path);
  const { graph } = readModelFile(path);
  return [...graph.inputs.map(({ name }) => name), ...graph.initializers.keys()];
}

/**
 * The adapter as its base tells it: trained biases as differences, and kohya's names with their dots. Other whole tensors
 * stay, or are dropped.
 */
export async function againstBase(
  file: LoraFile,
  base: ModelTensors | undefined,
  dropsReplaced: boolean,
): Promise<LoraFile> {
  if (base === undefined) return dropsReplaced ? { ...file, replaced: new Map() } : file;
  const named = unflattenModules(file, base.infos.keys());
  const tensors = new Map<string, Tensor>();
  for (const name of named.replaced.keys()) if (base.infos.has(name)) tensors.set(name, await base.read(name));
  return foldReplaced(named, (name) => tensors.get(name), dropsReplaced ? "drop" : "keep");
}
