import { crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32, crc32InJavaScript } from "./crc32.js";

test("plain JavaScript gives zlib's checksum, whatever the length and the alignment", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (bytes, start) => {
      const part = bytes.subarray(Math.min(start, bytes.length));
      expect(crc32InJavaScript(part)).toBe(zlibCrc32(part));
    }),
    { numRuns: 2000 },
  );
});

test("in Node it is zlib's", () => expect(crc32).toBe(zlibCrc32));
