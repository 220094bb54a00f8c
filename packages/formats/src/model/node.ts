import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { FormatError, shown } from "../base/errors.js";
import { decodeUtf8, jsonObject, parseJsonObject } from "../base/json.js";
import { refuseLookalike } from "../base/lookalikes.js";
import { kindOfPath, onDisk } from "../base/node.js";
import type { Tensor } from "../picture/tensor-file.js";
import type { TensorPlace } from "../safetensors/header.js";
import { SafetensorsReader } from "../safetensors/node.js";
import { shardName } from "../safetensors/shards.js";

export const INDEX_FILE = "model.safetensors.index.json";
const MODEL_FILE = "model.safetensors";

/**
 * The tensors of a model in one safetensors file, or in a folder of them as Hugging Face stores large models; only headers
 * are read, and then what is asked for. Close it, or declare it with `await using`.
 */
export class ModelTensors implements AsyncDisposable {
  /** Paths of the files, in order, and their readers. */
  readonly files: readonly (readonly [path: string, reader: SafetensorsReader])[];
  /** Every tensor's type, shape and place in its file. */
  readonly infos: ReadonlyMap<string, TensorPlace>;
  /** The index of the files, for a model in several. */
  readonly index: ReadonlyMap<string, unknown> | undefined;
  readonly #readers: ReadonlyMap<string, SafetensorsReader>;

  private constructor(
    files: readonly (readonly [string, SafetensorsReader])[],
    index: ReadonlyMap<string, unknown> | undefined,
  ) {
    this.files = files;
    this.index = index;
    this.#readers = new Map(
      files.flatMap(([, reader]) => [...reader.layout.tensors.keys()].map((name) => [name, reader])),
    );
    this.infos = new Map(files.flatMap(([, { layout }]) => [...layout.tensors]));
  }

  /**
   * Opens the weights of a model.
   * @param path a safetensors file, or a folder of them @throws FormatError
   */
  static async open(path: string): Promise<ModelTensors> {
    const isFolder = (await kindOfPath(path)) === "folder";
    const index = isFolder ? await readIndex(join(path, INDEX_FILE)) : undefined;
    const paths = isFolder ? namesOf(index).map((name) => join(path, name)) : [path];
    const files: (readonly [string, SafetensorsReader])[] = [];
    try {
      for (const file of paths) files.push([file, await SafetensorsReader.open(file)]);
    } catch (error) {
      for (const [, reader] of files) await reader[Symbol.asyncDispose]();
      throw error;
    }
    return new ModelTensors(files, index);
  }

  /** The path of the file that a tensor is in. @throws FormatError `missing-tensor` */
  fileOf(name: string): string {
    const reader = this.#readerOf(name);
    return this.files.find(([, other]) => other === reader)![0];
  }

  /** Reads one tensor. @throws FormatError `missing-tensor`, `truncated` */
  async read(name: string): Promise<Tensor> {
    return this.#readerOf(name).read(name);
  }

  #readerOf(name: string): SafetensorsReader {
    const reader = this.#readers.get(name);
    if (reader !== undefined) return reader;
    throw new FormatError("missing-tensor", shown(name), "is not in the model", "Ask for one of infos");
  }

  /** As `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const [, reader] of this.files) await reader[Symbol.asyncDispose]();
  }
}

async function readIndex(path: string): Promise<ReadonlyMap<string, unknown> | undefined> {
  const bytes = await onDisk(path, "reading", () =>
    readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    }),
  );
  if (bytes === undefined) return undefined;
  refuseLookalike(bytes, basename(path), "json");
  return parseJsonObject(decodeUtf8(bytes, INDEX_FILE), INDEX_FILE);
}

/** The files of a model in a folder. @throws FormatError `bad-header`, `bad-name` */
function namesOf(index: ReadonlyMap<string, unknown> | undefined): readonly string[] {
  if (index === undefined) return [MODEL_FILE];
  const names = new Set(jsonObject(index.get("weight_map"), `${INDEX_FILE}: weight_map`).values());
  return [...names].map((name) => shardName(name, INDEX_FILE));
}
