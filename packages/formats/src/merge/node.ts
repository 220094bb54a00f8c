import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import type { LoraFile } from "../picture/lora-file.js";
import { SafetensorsReader } from "../safetensors/node.js";
import type { TensorChange } from "./change.js";
import { type MergeOptions, planMerge } from "./plan.js";

/** Bytes of a model that are in memory at a time. */
const CHUNK_BYTES = 4 * 2 ** 20;

/**
 * Merges an adapter into a model, from file to file, a few megabytes in memory at a time. All is checked before anything
 * is written, and the output appears whole or not at all; it may be the input's own path.
 * @throws FormatError as `planMerge`; `not-finite` where the sum is no number that the weights' type holds
 */
export async function mergeSafetensors(
  input: string,
  output: string,
  file: LoraFile,
  options?: MergeOptions,
): Promise<void> {
  await using reader = await SafetensorsReader.open(input);
  const plan = planMerge(reader.layout.tensors, file, options);
  const temporary = `${output}.${randomUUID()}.tmp`;
  const out = await open(temporary, "wx");
  try {
    await out.write(reader.header);
    for (const [name, { offset, byteLength }] of reader.layout.tensors) {
      await copy(reader, out, offset, byteLength, plan.get(name));
    }
    await out.sync();
    await out.close();
    await rename(temporary, output);
  } catch (error) {
    await out.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}

async function copy(
  reader: SafetensorsReader,
  out: FileHandle,
  offset: number,
  byteLength: number,
  change: TensorChange | undefined,
): Promise<void> {
  const rowBytes = change === undefined ? 1 : byteLength / change.rows;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes)) * rowBytes;
  for (let at = 0; at < byteLength; at += step) {
    const bytes = await reader.readBytes(offset + at, Math.min(step, byteLength - at));
    const changed = change === undefined ? bytes : change.apply(bytes, at / rowBytes);
    await out.writeFile(changed);
  }
}
