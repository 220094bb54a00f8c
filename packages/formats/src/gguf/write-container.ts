import { FormatError, shown } from "../base/errors.js";
import { ALIGNMENT, type GgufTensor, MAGIC, MAX_NAME_BYTES, padded } from "./container.js";
import { GGML_TYPES, VALUE_TYPES } from "./types.js";

/** Metadata to write: texts, counts and factors. */
export type Entry =
  | { readonly type: "STRING"; readonly value: string }
  | { readonly type: "UINT32" | "FLOAT32"; readonly value: number };

/**
 * A GGUF file, version 3, little-endian, tensors at multiples of 32 bytes; the same entries and tensors give the same bytes.
 * @throws FormatError `bad-name` for a name of a tensor that llama.cpp would not read
 */
export function writeGguf(metadata: ReadonlyMap<string, Entry>, tensors: readonly GgufTensor[]): Uint8Array {
  const header: Uint8Array[] = [MAGIC, u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, { type, value }] of metadata) {
    header.push(text(key), u32(VALUE_TYPES[type].id));
    header.push(type === "STRING" ? text(value) : type === "UINT32" ? u32(value) : f32(value));
  }
  let end = 0;
  const offsets = tensors.map(({ name, shape, type, data }) => {
    const offset = padded(end, ALIGNMENT);
    header.push(tensorName(name), u32(shape.length), ...shape.map(u64), u32(GGML_TYPES[type].id), u64(offset));
    end = offset + data.length;
    return offset;
  });
  const start = padded(
    header.reduce((sum, part) => sum + part.length, 0),
    ALIGNMENT,
  );
  const bytes = new Uint8Array(start + padded(end, ALIGNMENT));
  let at = 0;
  for (const part of header) {
    bytes.set(part, at);
    at += part.length;
  }
  for (const [i, { data }] of tensors.entries()) bytes.set(data, start + offsets[i]!);
  return bytes;
}

/** What a header is made of: metadata as they are in another file, and tensors with the bytes that each takes. */
export interface HeaderParts {
  readonly version: number;
  readonly entryCount: number;
  readonly metadata: Uint8Array;
  readonly alignment: number;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly typeId: number }[];
  readonly lengths: readonly number[];
}

/** The header of a file that has another's metadata, padded to where its tensors begin. @throws FormatError `bad-name` */
export function ggufHeader({ version, entryCount, metadata, alignment, tensors, lengths }: HeaderParts): Uint8Array {
  const parts: Uint8Array[] = [MAGIC, u32(version), u64(tensors.length), u64(entryCount), metadata];
  let end = 0;
  for (const [i, { name, shape, typeId }] of tensors.entries()) {
    parts.push(tensorName(name), u32(shape.length), ...shape.map(u64), u32(typeId), u64(end));
    end += padded(lengths[i]!, alignment);
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = new Uint8Array(padded(length, alignment));
  let at = 0;
  for (const part of parts) {
    header.set(part, at);
    at += part.length;
  }
  return header;
}

function tensorName(name: string): Uint8Array {
  const bytes = text(name);
  if (bytes.length - 8 < MAX_NAME_BYTES) return bytes;
  throw new FormatError("bad-name", shown(name), "has more than 63 bytes", "llama.cpp has no longer names of tensors");
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  const out = new Uint8Array(8 + bytes.length);
  out.set(u64(bytes.length));
  out.set(bytes, 8);
  return out;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function f32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return bytes;
}
