/** Parts of a checkpoint, read and written by the format's description alone, for files that no program of ours would write. */
export interface Parts {
  version: number;
  /** JSON. */
  header: string;
  floats: Float32Array;
}

export function partsOf(bytes: Uint8Array): Parts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 20 + view.getUint32(16, true);
  const floats = new Float32Array((bytes.length - 4 - start) / 4);
  for (let i = 0; i < floats.length; i++) floats[i] = view.getFloat32(start + 4 * i, true);
  return { version: view.getUint32(8, true), header: new TextDecoder().decode(bytes.subarray(20, start)), floats };
}

/** A file of these parts, whose lengths and checksum are in order. */
export function forge({ version, header, floats }: Parts): Uint8Array {
  const json = new TextEncoder().encode(header);
  const padded = Math.ceil(json.length / 4) * 4;
  const bytes = new Uint8Array(24 + padded + 4 * floats.length).fill(0x20);
  const view = new DataView(bytes.buffer);
  bytes.set([0x89, ...new TextEncoder().encode("MLORA\r\n")]);
  view.setUint32(8, version, true);
  view.setUint32(12, bytes.length, true);
  view.setUint32(16, padded, true);
  bytes.set(json, 20);
  for (const [i, value] of floats.entries()) view.setFloat32(20 + padded + 4 * i, value, true);
  return signed(bytes);
}

/** The file with its last four bytes replaced by the CRC-32 of the others. */
export function signed(bytes: Uint8Array): Uint8Array {
  let crc = 0xffff_ffff;
  for (const byte of bytes.subarray(0, -4)) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(bytes.length - 4, ~crc >>> 0, true);
  return bytes;
}

/** A file whose header was changed, as a value or as text. */
// biome-ignore lint/suspicious/noExplicitAny: a header that lies has no type
export function withHeader(bytes: Uint8Array, change: (header: any) => unknown): Uint8Array {
  const parts = partsOf(bytes);
  const header: unknown = JSON.parse(parts.header);
  const changed = change(header) ?? header;
  return forge({ ...parts, header: typeof changed === "string" ? changed : JSON.stringify(changed) });
}
