// Cuts the weights file to its first 128 dimensions: the first 128 codes of each row, with the same scales. So a text has the same
// vector, bit for bit, as under the option `dimensions: 128` of the wider file, and whoever learned with one goes on with the other.
import { readFileSync, writeFileSync } from "node:fs";
import { crc32 } from "node:zlib";

const WIDTH = 128;
const wide = readFileSync(new URL("../weights/minilm-static-256.bin", import.meta.url));
const [rows, dimensions] = [wide.readUInt32LE(12), wide.readUInt32LE(16)];
const codesAt = 24 + 4 * rows;
const vocabularyAt = codesAt + rows * dimensions;

const header = Buffer.from(wide.subarray(0, 24));
header.writeUInt32LE(WIDTH, 16);
const codes = Array.from({ length: rows }, (_, row) =>
  wide.subarray(codesAt + row * dimensions, codesAt + row * dimensions + WIDTH),
);
const narrow = Buffer.concat([header, wide.subarray(24, codesAt), ...codes, wide.subarray(vocabularyAt)]);
narrow.writeUInt32LE(crc32(narrow.subarray(8)), 4);

const out = new URL(`../weights/minilm-static-${WIDTH}.bin`, import.meta.url);
writeFileSync(out, narrow);
console.log(`wrote ${out.pathname}: ${narrow.length} bytes`);
