/** Whether two byte strings are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/**
 * Fields as one byte string in which no two lists of fields are alike: each field has its length before it. Numbers are float64,
 * little-endian; strings are UTF-8.
 */
export function joinFields(fields: readonly (string | number | Uint8Array)[]): Uint8Array {
  const parts = fields.map(bytesOf);
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(joined.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length, true);
    joined.set(part, at + 4);
    at += 4 + part.length;
  }
  return joined;
}

const encoder = new TextEncoder();

function bytesOf(field: string | number | Uint8Array): Uint8Array {
  if (typeof field === "string") return encoder.encode(field);
  if (typeof field !== "number") return field;
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, field, true);
  return bytes;
}
