import { OnnxError } from "../base/errors.js";
import { filesOfGguf } from "../gguf/files.js";
import { isGguf } from "../gguf/read.js";
import { memorySource } from "../graph/serde/source.js";
import {
  fetchBytes,
  filesBeside,
  filesInMemory,
  freeWasmMemory,
  type ModelBytes,
  type ModelFiles,
} from "../run/files.js";
import type { Ort } from "../run/ort.js";
import type { ReadAdapterFile } from "./adapter-files.js";
import { LoraModel } from "./lora-model.js";
import { checkOpenOptions, type OpenOptions } from "./options.js";

/** A model's bytes with the bytes of its data files, if there are any, or its address. */
export type ModelSource = Uint8Array | ModelBytes | URL | string;

/**
 * Opens a model and puts adapters on the targets.
 * @param source bytes of an ONNX or GGUF file, or a URL of one; data files of an ONNX model lie beside it
 * @throws OnnxError `invalid-argument`, `unreadable`, `not-onnx`, `truncated`, `external-data`, `invalid-graph`, `unsupported-type`,
 * `unknown-module`, `onnxruntime`; of a GGUF file also `invalid-gguf`, `unsupported-architecture`
 */
export async function openModel(source: ModelSource, options: OpenOptions): Promise<LoraModel> {
  return openFrom(source, options);
}

/** @param readAdapter reads adapters where they are told by where they lie; by default they are fetched */
export async function openFrom(
  source: ModelSource,
  options: OpenOptions,
  readAdapter?: ReadAdapterFile,
): Promise<LoraModel> {
  checkOpenOptions(options);
  return LoraModel.open(await filesOf(source, options), options, readAdapter);
}

async function filesOf(source: ModelSource, options: OpenOptions): Promise<ModelFiles> {
  if (source instanceof Uint8Array) return filesOfBytes(source, options);
  if (source instanceof URL || typeof source === "string") {
    const url = source instanceof URL ? source : addressOf(source);
    const bytes = await fetchBytes(url, options);
    return isGguf(bytes) ? filesOfBytes(bytes, options) : filesBeside(bytes, url, options);
  }
  if (source?.model instanceof Uint8Array) return filesInMemory(source);
  throw new OnnxError("not-onnx", "source", "it is neither bytes nor an address", "Give a Uint8Array, a URL or a path");
}

function filesOfBytes(bytes: Uint8Array, { gguf = {}, ort }: OpenOptions): ModelFiles {
  if (!isGguf(bytes)) return filesInMemory({ model: bytes });
  return filesOfGguf(memorySource(bytes), gguf, { isWasm: !isNodeOrt(ort), freeMemory: freeWasmMemory });
}

/** Whether it is onnxruntime-node, rather than onnxruntime-web in Node. */
export function isNodeOrt({ env }: Ort): boolean {
  return env?.versions?.node !== undefined;
}

function addressOf(source: string): URL {
  const base = globalThis.location?.href;
  if (URL.canParse(source, base)) return new URL(source, base);
  throw new OnnxError("unreadable", source, "it is no address", 'Paths are opened by "@microlora/onnx/node"');
}
