import { OnnxError } from "../base/errors.js";
import { filesFromUrl, filesInMemory, type ModelBytes, type ModelFiles } from "./files.js";
import { LoraModel, type OpenOptions } from "./lora-model.js";

/** A model's bytes, with those of its data files if it has some, or the address to get them from. */
export type ModelSource = Uint8Array | ModelBytes | URL | string;

/**
 * Opens a model and puts adapters on the targets.
 * @param source bytes, or a URL, data files beside it
 * @throws OnnxError `unreadable`, `not-onnx`, `truncated`, `external-data`, `invalid-graph`, `unsupported-type`, `unknown-module`
 */
export async function openModel(source: ModelSource, options: OpenOptions): Promise<LoraModel> {
  return LoraModel.open(await filesOf(source), options);
}

function filesOf(source: ModelSource): ModelFiles | Promise<ModelFiles> {
  if (source instanceof Uint8Array) return filesInMemory({ model: source });
  if (source instanceof URL) return filesFromUrl(source);
  if (typeof source === "string") return filesFromUrl(addressOf(source));
  if (source?.model instanceof Uint8Array) return filesInMemory(source);
  throw new OnnxError("not-onnx", "source", "it is neither bytes nor an address", "Give a Uint8Array, a URL or a path");
}

function addressOf(source: string): URL {
  const base = globalThis.location?.href;
  if (URL.canParse(source, base)) return new URL(source, base);
  throw new OnnxError("unreadable", source, "it is no address", 'Paths are opened by "@microlora/onnx/node"');
}
