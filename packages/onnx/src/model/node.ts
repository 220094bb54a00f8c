import { freemem } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { filesOfGguf } from "../gguf/files.js";
import { isGguf } from "../gguf/read.js";
import { openFile } from "../graph/serde/node.js";
import { filesInMemory, freeWasmMemory, type ModelFiles } from "../run/files.js";
import { filesAt, readAll } from "../run/node.js";
import { fetchAdapter, type ReadAdapterFile } from "./adapter-files.js";
import { LoraModel } from "./lora-model.js";
import { isNodeOrt, type ModelSource, openFrom } from "./open.js";
import { checkOpenOptions, type OpenOptions } from "./options.js";

/**
 * Opens a model and puts adapters on the targets. Of a path, onnxruntime-node maps the weights from
 * the files where they are; onnxruntime-web gets them in memory.
 * @param source path or `file:` URL, or what the package's `openModel` takes
 * @throws OnnxError `unreadable`, `not-onnx`, `truncated`, `external-data`, `invalid-graph`, `unsupported-type`, `unknown-module`; of a GGUF
 * file `invalid-gguf`, `unsupported-architecture`
 */
export async function openModel(source: ModelSource, options: OpenOptions): Promise<LoraModel> {
  checkOpenOptions(options);
  const path = pathOf(source);
  if (path === undefined) return openFrom(source, options, readAdapterFile);
  if (isGgufFile(path)) return LoraModel.open(ggufFilesAt(path, options), options, readAdapterFile);
  const mapsFiles = isNodeOrt(options.ort);
  return LoraModel.open(mapsFiles ? filesAt(path) : filesInMemory(readAll(path)), options, readAdapterFile);
}

/** Reads an adapter from a disk, or an address. */
const readAdapterFile: ReadAdapterFile = async (source, { format, alpha, ...rest }) => {
  const path = pathOf(source);
  if (path === undefined) return fetchAdapter(source, { ...rest, ...(format && { format }) });
  const { readAdapter } = await import("@microlora/formats/node");
  const options = { ...(format !== undefined && { format }), ...(alpha !== undefined && { alpha }) };
  return (await readAdapter(path, options)).file;
};

function pathOf(source: ModelSource): string | undefined {
  if (source instanceof URL) return source.protocol === "file:" ? fileURLToPath(source) : undefined;
  return typeof source === "string" && !/^(?:https?|blob|data):/.test(source) ? resolve(source) : undefined;
}

function isGgufFile(path: string): boolean {
  using source = openFile(path);
  return source.length >= 4 && isGguf(source.read(0, 4));
}

/** A GGUF file as an ONNX model: its weights are repacked into memory. */
function ggufFilesAt(path: string, { gguf = {}, ort }: OpenOptions): ModelFiles {
  using source = openFile(path);
  return filesOfGguf(source, gguf, { isWasm: !isNodeOrt(ort), freeMemory: isNodeOrt(ort) ? freemem : freeWasmMemory });
}
