import type { Cursor } from "../base/cursor.js";
import { FormatError } from "../base/errors.js";

/**
 * An unsigned integer as bincode 2 has it by default: one byte below 251, else the marker 251, 252 or 253 and then two,
 * four or eight bytes, little-endian (bincode's specification, "Varint encoding").
 */
export function readVarint(cursor: Cursor, what: string): number {
  const at = cursor.at;
  const first = cursor.u8(what);
  if (first < 251) return first;
  if (first === 251) return cursor.u16(what);
  if (first === 252) return cursor.u32(what);
  const value = first === 253 ? cursor.u64(what) : undefined;
  if (value !== undefined && value <= Number.MAX_SAFE_INTEGER) return Number(value);
  throw new FormatError("bad-value", `byte ${at}`, `${what} is no number below 2^53`, "Restore the file from a copy");
}

/** The shortest form, as bincode writes it. */
export function writeVarint(value: number): number[] {
  if (value < 251) return [value];
  if (value < 2 ** 16) return [251, ...littleEndian(value, 2)];
  if (value < 2 ** 32) return [252, ...littleEndian(value, 4)];
  return [253, ...littleEndian(value, 8)];
}

function littleEndian(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}
