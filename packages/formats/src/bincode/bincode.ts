import { TARGET_MODULES } from "microlora";
import { Cursor } from "../base/cursor.js";
import { FormatError, shown } from "../base/errors.js";
import { refuseLookalike } from "../base/lookalikes.js";
import type { FileFormat } from "../format.js";
import { checkLoraFile, type LoraFile, type LoraTarget, PLAIN_FILE, scalingOf } from "../picture/lora-file.js";
import { refuseParts } from "../picture/refuse-parts.js";
import { refuseReplaced } from "../picture/replaced.js";
import { transpose } from "../picture/transpose.js";
import { mostCommon } from "../picture/uniform.js";
import { readVarint, writeVarint } from "./varint.js";

/**
 * The state file of the Rust original: `MicroLoraState` of its `micro_lora.rs`, in bincode 2's standard configuration.
 * Fields come in the order of their declaration; an enum is its index, a vector its length and its elements.
 *
 *   config     rank, alpha f32, dropout f32, target_modules, in_features, out_features, use_bias, standard_init,
 *              gradient_checkpointing
 *   adapters   a map from module to lora_a [in, rank], lora_b [rank, out], in_features, out_features, rank, scaling f32
 *   adaptations
 *
 * It names no format and has no checksum: any file that reads to its last byte is one.
 */
export const bincode: FileFormat = {
  title: "state of the Rust original (bincode 2)",
  extension: ".bin",
  matches: () => false,
  decode: decodeBincode,
  encode: encodeBincode,
};

/** The key of the notes under which the original's count of adaptations is kept. */
export const ADAPTATIONS_NOTE = "bincode.adaptations";

/**
 * Reads the state that the Rust original writes with bincode.
 * @throws FormatError `truncated`, `bad-value`, `bad-shape`, `duplicate-name`, `not-finite`, `bad-header`
 */
export function decodeBincode(bytes: Uint8Array): LoraFile {
  const cursor = new Cursor(bytes);
  refuseLookalike(bytes, "file");
  const dropout = readConfig(cursor);
  const targets: LoraTarget[] = [];
  for (let left = listLength(cursor, "adapters"); left > 0; left--) targets.push(readAdapter(cursor));
  const adaptations = readVarint(cursor, "adaptations");
  cursor.end();
  // The original keeps its modules in a hash map, so their order in a file is chance.
  targets.sort((a, b) => indexOf(a.module) - indexOf(b.module));
  return checkLoraFile({
    ...PLAIN_FILE,
    targets,
    dropout,
    notes: new Map([[ADAPTATIONS_NOTE, String(adaptations)]]),
  });
}

/** Reads the configuration. Only its dropout is used: the adapters say the rest. */
function readConfig(cursor: Cursor): number {
  readVarint(cursor, "rank");
  cursor.f32("alpha");
  const dropout = cursor.f32("dropout");
  const modules = listLength(cursor, "target_modules");
  for (let i = 0; i < modules; i++) readModule(cursor);
  readVarint(cursor, "in_features");
  readVarint(cursor, "out_features");
  for (const flag of ["use_bias", "standard_init", "gradient_checkpointing"]) readBoolean(cursor, flag);
  return dropout;
}

function readAdapter(cursor: Cursor): LoraTarget {
  const module = readModule(cursor);
  const a = cursor.floats(listLength(cursor, `${module}.lora_a`, 4), `${module}.lora_a`);
  const loraB = cursor.floats(listLength(cursor, `${module}.lora_b`, 4), `${module}.lora_b`);
  const inFeatures = readVarint(cursor, `${module}.in_features`);
  const outFeatures = readVarint(cursor, `${module}.out_features`);
  const rank = readVarint(cursor, `${module}.rank`);
  const scaling = cursor.f32(`${module}.scaling`);
  if (a.length !== rank * inFeatures) {
    throw new FormatError(
      "bad-shape",
      `${module}.lora_a`,
      `has ${a.length} numbers, not ${rank} x ${inFeatures}`,
      "Restore the file from a copy",
    );
  }
  const loraA = transpose(a, inFeatures, rank);
  const shape = { rank, inFeatures, outFeatures, alpha: scaling * rank, rsLora: false } as const;
  return { module, kind: "linear", ...shape, loraA, loraB, dtype: "F32" };
}

/** A count of elements of at least `least` bytes each, which the rest of the file has room for. */
function listLength(cursor: Cursor, what: string, least = 1): number {
  const at = cursor.at;
  const length = readVarint(cursor, what);
  if (length * least <= cursor.left) return length;
  throw new FormatError(
    "truncated",
    `byte ${at}`,
    `${what} has ${length} elements, ${cursor.left} bytes are left`,
    "Restore the file from a copy",
  );
}

function readModule(cursor: Cursor): string {
  const at = cursor.at;
  const name = TARGET_MODULES[readVarint(cursor, "module")];
  if (name !== undefined) return name;
  throw new FormatError("bad-value", `byte ${at}`, "is the index of no module", "Pass a state file of the original");
}

function readBoolean(cursor: Cursor, what: string): boolean {
  const at = cursor.at;
  const value = cursor.u8(what);
  if (value <= 1) return value === 1;
  throw new FormatError(
    "bad-value",
    `byte ${at}`,
    `${what} is ${value}, not 0 or 1`,
    "Pass a state file of the original",
  );
}

function indexOf(module: string): number {
  return (TARGET_MODULES as readonly string[]).indexOf(module);
}

/**
 * The one byte sequence for these adapters: modules in the order of the original's enum.
 * @throws FormatError `bad-name` for a module that the original has no name for, `bad-value` for a bias, which it loses
 */
export function encodeBincode(file: LoraFile): Uint8Array {
  checkLoraFile(file);
  refuseReplaced(file, "the Rust original");
  refuseParts(file.targets, "the Rust original", ["magnitude", "convolution"]);
  for (const target of file.targets) refuseTarget(target);
  const targets = [...file.targets].sort((a, b) => indexOf(a.module) - indexOf(b.module));
  const rank = mostCommon(targets.map((target) => target.rank));
  const alpha = mostCommon(targets.map(scalingOf)) * rank;
  const parts = [
    varints(rank),
    floats(alpha, file.dropout),
    varints(targets.length, ...targets.map(({ module }) => indexOf(module))),
    varints(mostCommon(targets.map((t) => t.inFeatures)), mostCommon(targets.map((t) => t.outFeatures))),
    // No bias, standard initialisation, no gradient checkpointing: the original's defaults, which it ignores.
    Uint8Array.of(0, 1, 0),
    varints(targets.length),
    ...targets.flatMap(adapterParts),
    varints(Number(file.notes.get(ADAPTATIONS_NOTE) ?? 0)),
  ];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function adapterParts(target: LoraTarget): Uint8Array[] {
  const { module, rank, inFeatures, outFeatures, loraA, loraB } = target;
  const a = transpose(loraA, rank, inFeatures);
  return [
    varints(indexOf(module), a.length),
    bytesOf(a),
    varints(loraB.length),
    bytesOf(loraB),
    varints(inFeatures, outFeatures, rank),
    floats(scalingOf(target)),
  ];
}

function refuseTarget({ module, bias }: LoraTarget): void {
  if (indexOf(module) < 0) {
    throw new FormatError(
      "bad-name",
      shown(module),
      `is none of the original's modules, ${TARGET_MODULES.join(", ")}`,
      "Rename the module",
    );
  }
  if (bias?.some((value) => value !== 0)) {
    throw new FormatError("bad-value", `${module}.bias`, "would be lost", "The original's files have no place for it");
  }
}

function varints(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap(writeVarint));
}

function floats(...values: number[]): Uint8Array {
  return bytesOf(Float32Array.from(values));
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
