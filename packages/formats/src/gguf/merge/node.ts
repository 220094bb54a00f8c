import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { FormatError, shown } from "../../base/errors.js";
import { checkOutputs, onDisk, openFile } from "../../base/node.js";
import type { LoraFile } from "../../picture/lora-file.js";
import type { MergeReport } from "../../picture/merge-report.js";
import { type BaseModel, baseModelFromHeader } from "../base-model.js";
import { type GgufHeader, padded, readGgufHeader, type TensorHeader } from "../container.js";
import { ggufHeader } from "../write-container.js";
import { type GgufChange, type GgufMergePlan, planGgufMerge } from "./plan.js";
import { Rounding } from "./rounding.js";

/** Bytes of a model that are in memory at a time. */
const CHUNK_BYTES = 4 * 2 ** 20;

export interface GgufMergeOptions {
  /** Subtracts what merging added; false by default. */
  readonly unmerge?: boolean;
  /** Whether a file that is there already may be written over; by default it may. */
  readonly overwrite?: boolean;
  /** What the model's own metadata say too little of; by default they are enough. */
  readonly base?: BaseModel;
}

/**
 * Merges an adapter into a GGUF model, from file to file, a few megabytes in memory at a time; the output appears whole or not
 * at all. Each tensor keeps its type where that can be written (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1); others that
 * change become F16. What rounding costs is a warning.
 * @throws FormatError as `planGgufMerge`; `cannot-read`, `cannot-write`, `not-finite`
 */
export async function mergeGguf(
  input: string,
  output: string,
  file: LoraFile,
  { unmerge = false, overwrite = true, base }: GgufMergeOptions = {},
): Promise<MergeReport> {
  await using model = await openFile(input);
  const { size } = await model.stat();
  const header = await readHeader(model, size, input);
  const own = baseModelFromHeader(header);
  const plan = planGgufMerge(
    header,
    file,
    { ...own, ...(base !== undefined && { ...base, tiedHead: own.tiedHead }) },
    unmerge ? -1 : 1,
  );
  await checkOutputs([output], overwrite);
  const rounding = new Rounding();
  await onDisk(output, "writing", () => writeMerged(model, size, header, output, plan, rounding));
  return { warnings: [...plan.warnings, ...rounding.warnings()] };
}

/** Reads the header. A vocabulary can make it megabytes long. */
async function readHeader(model: FileHandle, size: number, path: string): Promise<GgufHeader> {
  for (let length = 2 ** 20; ; length *= 4) {
    const start = new Uint8Array(Math.min(length, size));
    await onDisk(path, "reading", () => model.read(start, 0, start.length, 0));
    try {
      return readGgufHeader(start);
    } catch (error) {
      if (!(error instanceof FormatError && error.code === "truncated") || length >= size) throw error;
    }
  }
}

/** A tensor of the output, and the bytes of the input that it begins from. */
interface Output {
  readonly name: string;
  readonly shape: readonly number[];
  readonly typeId: number;
  readonly start: number;
  readonly byteLength: number;
  readonly change: GgufChange | undefined;
}

function outputsOf({ infos, offsets, alignment, metadata }: GgufHeader, size: number, plan: GgufMergePlan): Output[] {
  if (Number(metadata.get("split.count")?.value ?? 1) > 1 || metadata.has("split.no")) {
    const remedy = "Join the files first with llama-gguf-split --merge";
    throw new FormatError("unsupported-variant", "split.count", "makes it a part of a model in several files", remedy);
  }
  const dataStart = padded(offsets.end, alignment);
  const byOffset = [...infos].sort((a, b) => a.offset - b.offset);
  const ends = new Map(
    byOffset.map((info, i) => [info.name, dataStart + (byOffset[i + 1]?.offset ?? size - dataStart)]),
  );
  const outputOf = (name: string, info: TensorHeader, change: GgufChange | undefined): Output => {
    const start = dataStart + info.offset;
    const byteLength = change === undefined ? ends.get(info.name)! - start : bytesOf(change, "from");
    if (byteLength < 0 || start + byteLength > Math.min(size, ends.get(info.name)!)) {
      const problem = `takes ${byteLength} bytes from ${start}, the file has ${size}`;
      throw new FormatError("truncated", shown(info.name), problem, "Get the file again from where it was made");
    }
    return { name, shape: info.shape, typeId: change?.to.id ?? info.typeId, start, byteLength, change };
  };
  const own = infos.map((info) => outputOf(info.name, info, plan.changes.get(info.name)));
  const byName = new Map(infos.map((info) => [info.name, info]));
  return [...own, ...[...plan.added].map(([name, { like, change }]) => outputOf(name, byName.get(like)!, change))];
}

function bytesOf({ cols, rows, ...types }: GgufChange, which: "from" | "to"): number {
  const { elements, bytes } = types[which];
  return (cols / elements) * bytes * rows;
}

async function writeMerged(
  model: FileHandle,
  size: number,
  header: GgufHeader,
  output: string,
  plan: GgufMergePlan,
  rounding: Rounding,
): Promise<void> {
  const outputs = outputsOf(header, size, plan);
  const lengths = outputs.map(({ change, byteLength }) => (change === undefined ? byteLength : bytesOf(change, "to")));
  const { offsets, version, entryCount, alignment } = header;
  const metadata = await readAt(model, offsets.metadata, offsets.infos - offsets.metadata);
  const temporary = `${output}.${randomUUID()}.tmp`;
  await mkdir(dirname(output), { recursive: true });
  const out = await open(temporary, "wx");
  try {
    await out.writeFile(ggufHeader({ version, entryCount, metadata, alignment, tensors: outputs, lengths }));
    for (const [i, tensor] of outputs.entries()) {
      await writeTensor(model, out, tensor, rounding);
      const over = padded(lengths[i]!, alignment) - lengths[i]!;
      if (over > 0) await out.writeFile(new Uint8Array(over));
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

async function writeTensor(model: FileHandle, out: FileHandle, tensor: Output, rounding: Rounding): Promise<void> {
  const { start, byteLength, change } = tensor;
  if (change === undefined) {
    for (let at = 0; at < byteLength; at += CHUNK_BYTES) {
      await out.writeFile(await readAt(model, start + at, Math.min(CHUNK_BYTES, byteLength - at)));
    }
    return;
  }
  const rowBytes = byteLength / change.rows;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
  for (let row = 0; row < change.rows; row += step) {
    const count = Math.min(step, change.rows - row);
    const bytes = await readAt(model, start + row * rowBytes, count * rowBytes);
    await out.writeFile(changedRows(tensor.name, bytes, change, row, rounding));
  }
}

function changedRows(
  name: string,
  bytes: Uint8Array,
  change: GgufChange,
  first: number,
  rounding: Rounding,
): Uint8Array {
  const { from, to, cols } = change;
  const rows = bytes.length / ((cols / from.elements) * from.bytes);
  const result = new Uint8Array(rows * (cols / to.elements) * to.bytes);
  const [source, target] = [bytes, result].map((array) => new DataView(array.buffer, array.byteOffset));
  const [before, wanted, written] = [new Float64Array(cols), new Float64Array(cols), new Float64Array(cols)];
  for (let row = 0; row < rows; row++) {
    const at = row * (cols / from.elements) * from.bytes;
    for (let i = 0; i < cols; i += from.elements)
      from.dequantize(source!, at + (i / from.elements) * from.bytes, before, i);
    wanted.set(before);
    change.add(wanted, first + row);
    const into = row * (cols / to.elements) * to.bytes;
    for (let i = 0; i < cols; i += to.elements) {
      const place = into + (i / to.elements) * to.bytes;
      to.quantize!(wanted, i, target!, place);
      to.dequantize(target!, place, written, i);
    }
    const lost = written.findIndex((value) => !Number.isFinite(value));
    if (lost >= 0) {
      const problem = `is no number that ${to.name} holds, once merged`;
      throw new FormatError(
        "not-finite",
        `${shown(name)}[${(first + row) * cols + lost}]`,
        problem,
        "Merge into a wider type",
      );
    }
    if (!from.isExact) rounding.add(from, to, before, wanted, written);
  }
  if (!from.isExact) rounding.countTensor(from, to, name);
  return result;
}

async function readAt(handle: FileHandle, offset: number, byteLength: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(byteLength);
  const { bytesRead } = await handle.read(bytes, 0, byteLength, offset);
  if (bytesRead === byteLength) return bytes;
  throw new FormatError("truncated", `byte ${offset + bytesRead}`, "is the end of the file", "Read it again");
}
