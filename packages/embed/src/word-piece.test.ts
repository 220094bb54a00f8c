import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { packagedWeights, readFixture, type TokensFixture } from "./fixtures.test-support.js";
import { readWeights } from "./weights.js";
import { createWordPiece, UNKNOWN } from "./word-piece.js";

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

/** Words by the definition: the whole text cleaned at once in BERT's order, with no bound on runs of marks. */
function wordsByDefinition(text: string): string[] {
  const clean = text
    .replace(/(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\ufffd]/gu, "")
    .replace(
      /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu,
      " $& ",
    )
    .normalize("NFD")
    .replace(/\p{Mn}/gu, "")
    .replaceAll("Σ", "σ")
    .toLowerCase();
  return clean.match(/[!-/:-@[-`{-~\p{P}]|[^\s!-/:-@[-`{-~\p{P}]+/gu) ?? [];
}

const idsByDefinition = (text: string) =>
  wordsByDefinition(text).flatMap((word) => ([...word].length > 100 ? [UNKNOWN] : tokenIds(word)));

/** Pieces of which long texts are made: words, spaces of every kind, marks of every kind, ideographs, halves of pairs. */
const awkward = fc.oneof(
  fc.constantFrom(
    "apple",
    "unaffable",
    "Σ",
    "é",
    "가",
    "a",
    "x".repeat(120),
    "中",
    "豈",
    "\u{2f800}",
    "\u{2b820}",
    "😀",
    "ा",
    ".",
  ),
  fc.constantFrom(" ", "\n", "\u000b", "\u00a0", "\u0085", "\u2028", "\u200b", "\ufeff", "\u3000", "\u0000"),
  fc.constantFrom(
    "\u0301",
    "\u0323\u0301",
    "\u034f",
    "\u302e",
    "\u{1d165}",
    "\u0344",
    "\u{16ff0}",
    "\u20dd",
    "\ud800",
    "\udc00",
  ),
);

test("long texts, which are cleaned in parts, have the tokens of the whole text", () => {
  const repeated = fc
    .tuple(awkward, fc.constantFrom(1, 1, 1, 2, 99, 150, 700))
    .map(([piece, times]) => piece.repeat(times));
  fc.assert(
    fc.property(fc.array(repeated, { minLength: 1, maxLength: 60 }), fc.nat(2000), (parts, limit) => {
      const text = parts.join("");
      const expected = idsByDefinition(text);
      expect(tokenIds(text)).toEqual(expected);
      expect(tokenIds(text, limit)).toEqual(expected.slice(0, limit));
    }),
  );
});

test("runs of marks are short when Unicode normalisation, which is quadratic in them, sees them", () => {
  const normalize = vi.spyOn(String.prototype, "normalize");
  const marks = ["\u0301\u0323", "\u302e\u{1d165}", "\u{16ff0}\u302f", "\u0345\u0334", "\u{1d16d}\u{1d166}\u0301"];
  for (const run of marks) for (const base of ["", "a", "a ", "가"]) tokenIds(base + run.repeat(16_000));
  const seen = normalize.mock.contexts.map(String);
  normalize.mockRestore();
  expect(seen.length).toBeGreaterThan(10);
  for (const text of seen)
    expect(Math.max(0, ...(text.match(/\p{M}+/gu) ?? []).map((run) => run.length))).toBeLessThan(210);
});

test("of a long text only as much is cleaned as the tokens need", () => {
  const normalize = vi.spyOn(String.prototype, "normalize");
  tokenIds("naïve ".repeat(5000), 512);
  const units = normalize.mock.contexts.reduce((sum: number, text) => sum + String(text).length, 0);
  normalize.mockRestore();
  expect(units).toBeLessThan(512 * 6 + 2 * 1100);
});
