import { filesFromUrl, filesInMemory, type ModelBytes, type ModelFiles } from "./files.js";
import { LoraModel, type OpenOptions } from "./lora-model.js";

/** A model's bytes, with those of its data files if it has some, or the address to get them from. */
export type ModelSource = Uint8Array | ModelBytes | URL | string;

/**
 * Opens a model and puts adapters on the targets.
 * @param source bytes, or a URL, data files beside it
 * @throws OnnxError `not-onnx`, `truncated`, `external-data`, `invalid-graph`, `unsupported-type`, `unknown-module`
 */
export async function openModel(source: ModelSource, options: OpenOptions): Promise<LoraModel> {
  return LoraModel.open(await filesOf(source), options);
}

function filesOf(source: ModelSource): ModelFiles | Promise<ModelFiles> {
  if (source instanceof Uint8Array) return filesInMemory({ model: source });
  if (source instanceof URL) return filesFromUrl(source);
  return typeof source === "string" ? filesFromUrl(new URL(source, globalThis.location?.href)) : filesInMemory(source);
}
