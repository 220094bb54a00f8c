import fc from "fast-check";
import { expect, test } from "vitest";
import type { EmbeddedCorpus } from "./corpus.js";
import { Evaluator, IDENTITY, metricsOf } from "./evaluate.js";

const component = fc.float({ min: -1, max: 1, noNaN: true });
const small = fc.integer({ min: 1, max: 9 }).chain((n) =>
  fc.record({
    documents: fc.array(fc.array(component, { minLength: n, maxLength: n }), { minLength: 2, maxLength: 12 }),
    query: fc.array(component, { minLength: n, maxLength: n }),
  }),
);

function corpusOf(
  documents: readonly (readonly number[])[],
  query: readonly number[],
  relevant: number[],
): EmbeddedCorpus {
  return {
    documents: documents.map((_, i) => ({ emoji: `e${i}`, name: `n${i}`, group: "g" })),
    keywords: [{ text: "q", stems: ["q"], relevant }],
    groups: ["g"],
    documentVectors: documents.map((values) => Float32Array.from(values)),
    keywordVectors: [Float32Array.from(query)],
  };
}

test("the rank is the place in a naive sort", () => {
  fc.assert(
    fc.property(small, fc.nat(), ({ documents, query }, pick) => {
      const wanted = pick % documents.length;
      const corpus = corpusOf(documents, query, [wanted]);
      const scores = documents.map((document) => document.reduce((sum, value, i) => sum + value * query[i]!, 0));
      const gaps = scores.filter((score, i) => i !== wanted && Math.abs(score - scores[wanted]!) < 1e-9);
      fc.pre(gaps.length === 0);
      const sorted = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!);
      expect(new Evaluator(corpus).rank(IDENTITY, 0, [wanted])).toBe(1 + sorted.indexOf(wanted));
    }),
  );
});

test("of several wanted documents the best one counts", () => {
  const corpus = corpusOf([[3], [2], [1]], [1], [1, 2]);
  const evaluator = new Evaluator(corpus);
  expect(evaluator.rank(IDENTITY, 0, [2, 1])).toBe(2);
  expect(evaluator.onKeywords(IDENTITY, [0])).toEqual({ mrr: 1 / 2, top10: 1 });
  expect(evaluator.onQueries(IDENTITY, [{ keyword: 0, topic: 0, wanted: [2] }])).toEqual({ mrr: 1 / 3, top10: 1 });
});

test("the transform is what is searched with", () => {
  const evaluator = new Evaluator(corpusOf([[1], [-1]], [1], [1]));
  expect(evaluator.rank({ transform: (query) => query.map((value) => -value) }, 0, [1])).toBe(1);
});

test("mean reciprocal rank and share of the first ten, worked by hand", () => {
  expect(metricsOf([1, 2, 4, 10, 11])).toEqual({ mrr: (1 + 1 / 2 + 1 / 4 + 1 / 10 + 1 / 11) / 5, top10: 4 / 5 });
});
