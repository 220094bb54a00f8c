import fc from "fast-check";
import { expect, test } from "vitest";
import { packagedWeights, readFixture, type TokensFixture } from "./fixtures.test-support.js";
import { readWeights } from "./weights.js";
import { createWordPiece } from "./word-piece.js";

const { vocabulary } = readWeights(packagedWeights());
const tokenizer = createWordPiece(vocabulary);

function tokenIds(text: string, maxTokens = Number.MAX_SAFE_INTEGER): number[] {
  const ids: number[] = [];
  tokenizer.forEachToken(text, maxTokens, (id) => ids.push(id));
  return ids;
}

test("gives the ids of Python's tokenizers", () => {
  const { cases } = readFixture<TokensFixture>("tokens");
  expect(cases.length).toBeGreaterThan(1800);
  expect(cases.map(({ text }) => ({ text, ids: tokenIds(text) }))).toEqual(cases);
});

test("any UTF-16 gives ids of the vocabulary, cut off at the limit", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0xffff), { maxLength: 200 }), fc.nat(20), (units, limit) => {
      const all = tokenIds(String.fromCharCode(...units));
      expect(all.every((id) => vocabulary[id] !== undefined)).toBe(true);
      expect(tokenIds(String.fromCharCode(...units), limit)).toEqual(all.slice(0, limit));
    }),
  );
});

test("lone surrogates are dropped", () => {
  expect(tokenIds("ap\ud800ple \udfff")).toEqual(tokenIds("apple"));
});

test("whole words spell themselves", () => {
  const words = vocabulary.filter((token) => /^[a-z]+$/.test(token));
  expect(words.length).toBeGreaterThan(20_000);
  for (const word of words) expect(tokenIds(word).map((id) => vocabulary[id])).toEqual([word]);
});
