type Crc32 = (bytes: Uint8Array) => number;

/** Eight tables: entry n of table k is the CRC of byte n followed by k zero bytes. */
const TABLES = /* @__PURE__ */ makeTables();

/**
 * CRC-32 as in IEEE 802.3 (reflected, polynomial 0xEDB88320); finds every error of up to 32 bits in a row. In Node it is zlib's, elsewhere
 * eight bytes at a time.
 */
export const crc32: Crc32 = /* @__PURE__ */ zlibCrc32() ?? crc32InJavaScript;

/** The same in plain JavaScript ("slicing by 8": Kounavis & Berry 2008). */
export function crc32InJavaScript(bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  let c = 0xffff_ffff;
  let i = 0;
  for (const whole = bytes.length - 7; i < whole; i += 8) {
    const low = c ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    c =
      t7[low & 0xff]! ^
      t6[(low >>> 8) & 0xff]! ^
      t5[(low >>> 16) & 0xff]! ^
      t4[low >>> 24]! ^
      t3[bytes[i + 4]!]! ^
      t2[bytes[i + 5]!]! ^
      t1[bytes[i + 6]!]! ^
      t0[bytes[i + 7]!]!;
  }
  for (; i < bytes.length; i++) c = t0[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8);
  return (c ^ 0xffff_ffff) >>> 0;
}

function makeTables(): readonly Uint32Array[] {
  const first = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb8_8320 ^ (c >>> 1) : c >>> 1;
    return c;
  });
  const tables = [first];
  for (let k = 1; k < 8; k++) {
    const last = tables[k - 1]!;
    tables.push(last.map((c) => first[c & 0xff]! ^ (c >>> 8)));
  }
  return tables;
}

/** Node's own, without an import, so that bundlers for the browser do not look for it. */
function zlibCrc32(): Crc32 | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (name: string) => { crc32?: Crc32 } | undefined };
  };
  return process?.getBuiltinModule?.("node:zlib")?.crc32;
}
