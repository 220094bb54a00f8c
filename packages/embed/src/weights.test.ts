import { expect, test } from "vitest";
import { refusalCode, type SmallFile, smallWeights } from "./fixtures.test-support.js";
import { readWeights } from "./weights.js";

test("reads scales, codes and vocabulary", () => {
  const weights = readWeights(smallWeights());
  expect(weights.dimensions).toBe(2);
  expect(weights.vocabulary).toEqual(["a", "b", "##c"]);
  expect([...weights.scales]).toEqual([0.5, 2, 1]);
  expect([...weights.codes]).toEqual([3, 4, 0, -1, 127, -128]);
});

test("reads from a Buffer and from an odd offset", () => {
  const bytes = smallWeights();
  const shifted = new Uint8Array(bytes.length + 1).subarray(1);
  shifted.set(bytes);
  expect(readWeights(shifted)).toEqual(readWeights(bytes));
  expect(readWeights(Buffer.from(bytes))).toEqual(readWeights(bytes));
});

test("refuses every truncation", () => {
  const bytes = smallWeights();
  for (let length = 0; length < bytes.length; length++) {
    expect(refusalCode(() => readWeights(bytes.subarray(0, length)))).toBe("truncated-weights");
  }
});

test("refuses every flipped bit", () => {
  const bytes = smallWeights();
  const codes = new Set<string>();
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    codes.add(refusalCode(() => readWeights(flipped)));
  }
  expect([...codes].sort()).toEqual([
    "checksum-mismatch",
    "corrupt-weights",
    "not-weights",
    "truncated-weights",
    "unsupported-version",
  ]);
});

test("refuses bytes after the end", () => {
  const longer = new Uint8Array([...smallWeights(), 0]);
  expect(refusalCode(() => readWeights(longer))).toBe("corrupt-weights");
});

test("refuses what is not bytes", () => {
  expect(refusalCode(() => readWeights(JSON.parse("[1,2]")))).toBe("not-weights");
});

test.each<[string, SmallFile, string]>([
  ["a later version", { version: 2 }, "unsupported-version"],
  ["no rows", { rows: 0 }, "corrupt-weights"],
  ["no dimensions", { dimensions: 0 }, "corrupt-weights"],
  ["more rows than any vocabulary", { rows: 0xffffffff }, "corrupt-weights"],
  ["wider than any embedding", { dimensions: 0xffffffff }, "corrupt-weights"],
  ["more rows than there are", { rows: 4 }, "truncated-weights"],
  ["a longer vocabulary than there is", { vocabularyBytes: 0xffffffff }, "truncated-weights"],
  ["fewer tokens than rows", { vocabulary: ["a", "b"] }, "corrupt-weights"],
  ["a scale that is not a number", { scales: [1, Number.NaN, 1] }, "corrupt-weights"],
  ["an infinite scale", { scales: [1, Infinity, 1] }, "corrupt-weights"],
  ["a negative scale", { scales: [1, -1, 1] }, "corrupt-weights"],
])("refuses %s though the checksum is right", (_, file, code) => {
  expect(refusalCode(() => readWeights(smallWeights(file)))).toBe(code);
});
