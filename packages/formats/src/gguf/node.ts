import { join } from "node:path";
import { FormatError } from "../base/errors.js";
import { refuseLookalike } from "../base/lookalikes.js";
import { kindOfPath, onDisk, openFile, readWhole } from "../base/node.js";
import { type BaseModel, baseModelFromConfig, baseModelFromGguf } from "./base-model.js";

/**
 * The facts of a base model that GGUF adapters depend on, from its config.json, a folder that has one, or the beginning of
 * its GGUF file.
 * @throws FormatError
 */
export async function readBaseModel(path: string): Promise<BaseModel> {
  if ((await kindOfPath(path)) === "folder") return readBaseModel(join(path, "config.json"));
  if (!path.endsWith(".gguf")) return baseModelFromConfig(parseConfig(await readWhole(path), path));
  await using file = await openFile(path);
  const { size } = await file.stat();
  for (let length = 2 ** 16; ; length *= 4) {
    const start = new Uint8Array(Math.min(length, size));
    await onDisk(path, "reading", () => file.read(start, 0, start.length, 0));
    try {
      return baseModelFromGguf(start);
    } catch (error) {
      // The vocabulary is part of the metadata, and may be long.
      if (!(error instanceof FormatError && error.code === "truncated") || length >= size) throw error;
    }
  }
}

function parseConfig(bytes: Uint8Array, path: string): unknown {
  refuseLookalike(bytes, path, "json");
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new FormatError("bad-config", path, "is not JSON", "Pass the base model's config.json or GGUF", { cause });
  }
}
