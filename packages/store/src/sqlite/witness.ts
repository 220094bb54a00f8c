/** Two slots that are written in turn, so that a write that is cut short leaves the other one: count as uint64, CRC-32, little-endian. */
export const SLOT_BYTES = 12;
export const WITNESS_BYTES = 2 * SLOT_BYTES;

type Crc32 = (bytes: Uint8Array) => number;

export function encodeSlot(commits: number, crc32: Crc32): Uint8Array {
  const bytes = new Uint8Array(SLOT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(commits), true);
  view.setUint32(8, crc32(bytes.subarray(0, 8)), true);
  return bytes;
}

/** The largest count whose checksum is right; 0 if there is none. */
export function decodeSlots(bytes: Uint8Array, crc32: Crc32): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const counts = [0, SLOT_BYTES].map((at) => {
    const whole = bytes.length >= at + SLOT_BYTES;
    if (!whole || view.getUint32(at + 8, true) !== crc32(bytes.subarray(at, at + 8))) return 0;
    return Number(view.getBigUint64(at, true));
  });
  return Math.max(...counts);
}
