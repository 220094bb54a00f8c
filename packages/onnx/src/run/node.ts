import { realpathSync } from "node:fs";
import { freemem } from "node:os";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import type { Model, Tensor } from "../graph/ir.js";
import { openFile, readModelFile } from "../graph/serde/node.js";
import { readModelFrom } from "../graph/serde/read.js";
import { mapTensors } from "../graph/tensors.js";
import { externalLocations, filesInMemory, type ModelBytes, type ModelFiles } from "./files.js";

/**
 * Reads a model from disk without its weights. Links are followed first (Hugging Face's cache is made of them), since
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

/** A model with every tensor left in its file, small ones too. */
export function readPlaces(path: string): Model {
  using source = openFile(path);
  return readModelFrom(source, 0);
}

/** A model and its data files, brought into memory. */
export function readAll(path: string): ModelBytes {
  const read = (location: string) => [location, bytesOf(join(dirname(path), location))] as const;
  const externalData = Object.fromEntries([...externalLocations(readPlaces(path))].map(read));
  return { model: bytesOf(path), externalData };
}

function bytesOf(path: string): Uint8Array {
  using source = openFile(path);
  return source.read(0, source.length);
}
