// Bytes by hand: what a hostile file is put together from. Nothing of the readers is used here.

export const cat = (...parts) => Buffer.concat(parts.flat(Infinity).map((part) => Buffer.from(part)));
export const ascii = (value) => Buffer.from(value, "latin1");
export const u8 = (...values) => Buffer.from(values);

export function u16(value) {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

export function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
}

export function f32(...values) {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => {
    bytes.writeFloatLE(value, 4 * i);
  });
  return bytes;
}

export const floats = (count) => f32(...Array.from({ length: count }, (_, i) => i / 8));

/** Zeros up to the next multiple of an alignment. */
export const padding = (length, alignment) => Buffer.alloc((alignment - (length % alignment)) % alignment);

/** A copy with some bytes replaced. */
export function patched(bytes, at, replacement) {
  const copy = Buffer.from(bytes);
  replacement.copy(copy, at);
  return copy;
}

export const deep = (levels) => "[".repeat(levels) + "]".repeat(levels);
