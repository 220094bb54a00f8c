import { OnnxError } from "../base/errors.js";
import { concat } from "../base/sha256.js";
import type { Model, Tensor } from "../graph/ir.js";
import { checkExternalData } from "../graph/serde/external.js";
import { readModel } from "../graph/serde/read.js";
import { memorySource } from "../graph/serde/source.js";
import { mapTensors } from "../graph/tensors.js";
import type { OrtSessionOptions } from "./ort.js";

/** A model and the files that its weights are in. */
export interface ModelFiles {
  readonly model: Model;
  /** What the model's own file is called where a derived graph refers to its bytes. */
  readonly self: string;
  /** Session options with which onnxruntime finds the weights. */
  readonly options: OrtSessionOptions;
  /** Bytes that are free for activations, as far as can be known. */
  freeMemory(): number;
  /** Up to `length` bytes of a tensor's elements from `offset`. */
  read(tensor: Tensor, offset: number, length: number): Uint8Array;
}

/** Bytes of a model and of its data files, by the names that the model calls them. */
export interface ModelBytes {
  /** Bytes of the `.onnx` file. */
  readonly model: Uint8Array;
  /** Data files by the location that the model names them by. */
  readonly externalData?: Readonly<Record<string, Uint8Array>>;
}

const SELF = "model.onnx";

/** What one WebAssembly memory can address; the weights lie in it once for running and once for learning. */
const WASM_BYTES = 2 ** 32;

/** Bytes of a WebAssembly memory that are free for activations. */
export function freeWasmMemory(weights: number): number {
  return Math.max(0, WASM_BYTES - 2 * weights);
}

/** A model in memory. @throws OnnxError */
export function filesInMemory({ model: bytes, externalData = {} }: ModelBytes): ModelFiles {
  const open = (location: string) => {
    const found = location === "" ? bytes : Object.hasOwn(externalData, location) ? externalData[location] : undefined;
    return found && memorySource(found);
  };
  const model = checkExternalData(readModel(bytes), open);
  const weights = [bytes, ...Object.values(externalData)].reduce((sum, { length }) => sum + length, 0);
  const self = Object.hasOwn(externalData, SELF) ? "microlora-base.onnx" : SELF;
  return {
    model,
    self,
    options: {
      externalData: [
        { path: self, data: bytes },
        ...Object.entries(externalData).map(([path, data]) => ({ path, data })),
      ],
    },
    freeMemory: () => freeWasmMemory(weights),
    read({ data }, offset, length) {
      if (data.kind === "strings") return new Uint8Array();
      const all = data.kind === "bytes" ? data.bytes : open(data.location)!.read(data.offset, data.length);
      return all.subarray(offset, offset + length);
    },
  };
}

/** How files are fetched. */
export interface FetchOptions {
  readonly onProgress?: (progress: { url: string; loaded: number; total: number | undefined }) => void;
  readonly signal?: AbortSignal;
}

/** Brings the data files of a fetched model from beside it. @throws OnnxError `unreadable`, and as `filesInMemory` */
export async function filesBeside(model: Uint8Array, url: URL, options: FetchOptions): Promise<ModelFiles> {
  const externalData: Record<string, Uint8Array> = {};
  for (const location of externalLocations(readModel(model)))
    externalData[location] = await fetchBytes(new URL(location, url), options);
  return filesInMemory({ model, externalData });
}

/** The data files that a model names. */
export function externalLocations(model: Model): ReadonlySet<string> {
  const locations = new Set<string>();
  mapTensors(model, (tensor) => {
    if (tensor.data.kind === "external" && tensor.data.location !== "") locations.add(tensor.data.location);
    return tensor;
  });
  return locations;
}

/** @throws OnnxError `unreadable` */
export async function fetchBytes(url: URL, { onProgress, signal }: FetchOptions): Promise<Uint8Array> {
  const unreadable = (problem: string, cause?: unknown) =>
    new OnnxError("unreadable", url.href, problem, "Check the address and the files beside it", { cause });
  try {
    const response = await fetch(url, signal === undefined ? {} : { signal });
    if (!response.ok) throw unreadable(`the server says ${response.status}`);
    if (onProgress === undefined || response.body === null) return new Uint8Array(await response.arrayBuffer());
    return await readAll(response.body, (loaded) => onProgress({ url: url.href, loaded, total: sizeOf(response) }));
  } catch (cause) {
    if (signal?.aborted) throw new OnnxError("unreadable", url.href, "it was stopped", "Fetch it again", { cause });
    throw cause instanceof OnnxError ? cause : unreadable("it could not be fetched", cause);
  }
}

/** The size that a server says; a compressed answer says that of what is sent, which is none of the file. */
function sizeOf({ headers }: Response): number | undefined {
  const length = Number(headers.get("content-length") ?? Number.NaN);
  return headers.has("content-encoding") || Number.isNaN(length) ? undefined : length;
}

async function readAll(body: ReadableStream<Uint8Array>, onBytes: (loaded: number) => void): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let loaded = 0;
  const reader = body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(next.value);
    loaded += next.value.length;
    onBytes(loaded);
  }
  return concat(parts);
}
