import { readFileSync, realpathSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { freemem } from "node:os";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { save } from "microlora/node";
import type { Tensor } from "../graph/ir.js";
import { openFile, readModelFile } from "../graph/serde/node.js";
import { mapTensors } from "../graph/tensors.js";
import type { DerivationCache } from "./derivation-cache.js";
import { externalLocations, filesInMemory, type ModelBytes, type ModelFiles } from "./files.js";
import { LoraModel, type OpenOptions } from "./lora-model.js";
import { type ModelSource, openModel as openElsewhere } from "./open.js";

/**
 * Opens a model and puts adapters on the targets. Of a path, onnxruntime-node maps the weights from
 * the files where they are; onnxruntime-web gets them in memory.
 * @param source path or `file:` URL, or what the package's `openModel` takes
 * @throws OnnxError `unreadable`, `not-onnx`, `truncated`, `external-data`, `invalid-graph`, `unsupported-type`, `unknown-module`
 */
export async function openModel(source: ModelSource, options: OpenOptions): Promise<LoraModel> {
  const path = pathOf(source);
  if (path === undefined) return openElsewhere(source, options);
  const mapsFiles = options.ort.env?.versions?.node !== undefined;
  return LoraModel.open(mapsFiles ? filesAt(path) : filesInMemory(readAll(path)), options);
}

/**
 * A cache of derived graphs in a folder, a file each, which is made if it is not there. A file is whole or not there, and is
 * read as if it were not there if it cannot be read.
 */
export function folderCache(folder: string): DerivationCache {
  const fileOf = (key: string) => join(folder, `${key}.derivation`);
  return {
    get: (key) => readFile(fileOf(key)).catch(() => undefined),
    async set(key, bytes) {
      await mkdir(folder, { recursive: true });
      await save({ toBytes: () => bytes }, fileOf(key));
    },
  };
}

function pathOf(source: ModelSource): string | undefined {
  if (source instanceof URL) return source.protocol === "file:" ? fileURLToPath(source) : undefined;
  return typeof source === "string" && !/^(?:https?|blob|data):/.test(source) ? resolve(source) : undefined;
}

/**
 * A model on a disk, read but for its weights. Links are followed first (Hugging Face's cache is made of them), since
 * onnxruntime refuses a file that leads out of its folder.
 */
export function filesAt(path: string): ModelFiles {
  const read = readModelFile(path);
  const file = realpathSync(path);
  const folder = dirname(file);
  const locate = (location: string) => relative(folder, realpathSync(join(dirname(path), location)));
  const locations = [...externalLocations(read)];
  const model = locations.length === 0 ? read : mapTensors(read, (tensor) => withLocation(tensor, locate));
  const outside = locations.map(locate).find((location) => isAbsolute(location) || location.startsWith(".."));
  if (outside !== undefined) return filesInMemory(readAll(path));
  return {
    model,
    self: basename(file),
    options: { extra: { session: { model_external_initializers_file_folder_path: folder } } },
    freeMemory: freemem,
    read({ data }, offset, length) {
      if (data.kind === "strings") return new Uint8Array();
      if (data.kind === "bytes") return data.bytes.subarray(offset, offset + length);
      using source = openFile(data.location === "" ? file : join(folder, data.location));
      return source.read(data.offset + offset, Math.min(length, data.length - offset));
    },
  };
}

function withLocation(tensor: Tensor, locate: (location: string) => string): Tensor {
  const { data } = tensor;
  return data.kind === "external" && data.location !== ""
    ? { ...tensor, data: { ...data, location: locate(data.location) } }
    : tensor;
}

/** A model and its data files, brought into memory. */
function readAll(path: string): ModelBytes {
  const read = (location: string) => [location, readFileSync(join(dirname(path), location))] as const;
  const externalData = Object.fromEntries([...externalLocations(readModelFile(path))].map(read));
  return { model: readFileSync(path), externalData };
}
