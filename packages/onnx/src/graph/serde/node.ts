import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import { OnnxError } from "../../base/errors.js";
import type { Model, Tensor } from "../ir.js";
import { checkExternalData } from "./external.js";
import { readModelFrom } from "./read.js";
import type { ByteSource } from "./source.js";

/** A file as a source, open until it is disposed of. @throws OnnxError `unreadable` */
export function openFile(path: string): ByteSource & Disposable {
  const { file, length } = openToRead(path);
  return {
    length,
    isInMemory: false,
    read: (offset, length) => readExactly(file, path, offset, length),
    [Symbol.dispose]: () => closeSync(file),
  };
}

function openToRead(path: string): { readonly file: number; readonly length: number } {
  try {
    const file = openSync(path, "r");
    const status = fstatSync(file);
    if (status.isFile()) return { file, length: status.size };
    closeSync(file);
  } catch (cause) {
    throw unreadable(path, `it cannot be opened (${cause instanceof Error ? cause.message : cause})`, cause);
  }
  throw unreadable(path, "it is no file");
}

function unreadable(path: string, problem: string, cause?: unknown): OnnxError {
  return new OnnxError("unreadable", path, problem, "Check the path", { cause });
}

function readExactly(file: number, path: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const count = readSync(file, bytes, done, length - done, offset + done);
    if (count === 0) {
      throw new OnnxError("truncated", path, `it ends before byte ${offset + length}`, "Get the whole file again");
    }
    done += count;
  }
  return bytes;
}

/**
 * Reads a model from a path, without its weights: each is a reference to its place in the model's file or in the data file
 * beside it, which must have it.
 *
 * @throws OnnxError as `readModel`, `unreadable`, and `external-data` for a data file that is missing or too short
 */
export function readModelFile(path: string): Model {
  const files = new Map<string, ByteSource & Disposable>();
  const open = (file: string) => files.get(file) ?? files.set(file, openFile(file)).get(file)!;
  try {
    return checkExternalData(readModelFrom(open(path)), (location) => {
      const file = location === "" ? path : join(dirname(path), location);
      return existsSync(file) ? open(file) : undefined;
    });
  } finally {
    for (const file of files.values()) file[Symbol.dispose]();
  }
}

/** The elements of a tensor in ONNX's raw layout, from wherever they are. @param path of the model that it belongs to */
export function readElements(tensor: Tensor, path: string): Uint8Array {
  const { data } = tensor;
  if (data.kind === "bytes") return data.bytes;
  if (data.kind === "strings")
    throw new OnnxError("unsupported-type", path, "strings have no raw layout", "Use the strings");
  using source = openFile(data.location === "" ? path : join(dirname(path), data.location));
  return source.read(data.offset, data.length);
}
