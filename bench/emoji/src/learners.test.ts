import { EmbeddingIndex } from "microlora";
import { expect, test } from "vitest";
import type { EmbeddedCorpus } from "./corpus.js";
import { LEARNERS, type LearnerName } from "./hyperparameters.js";
import { createLearner } from "./learners.js";
import { createRandom } from "./random.js";

const DIMENSIONS = 16;

function vectors(count: number, seed: number): Float32Array[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => {
    const vector = Float32Array.from({ length: DIMENSIONS }, () => random.next() - 0.5);
    const norm = Math.hypot(...vector);
    return vector.map((value) => value / norm);
  });
}

const corpus: EmbeddedCorpus = {
  documents: [],
  keywords: [],
  groups: [],
  documentVectors: vectors(30, 1),
  keywordVectors: vectors(60, 2),
};

test("the constant offset adds the same vector to every query, and it is the gradient's", async () => {
  using index = await EmbeddingIndex.create(corpus.documentVectors.map((vector, row) => [row, vector] as const));
  using learner = await createLearner(corpus, LEARNERS.offset, { seed: 1 });
  const offsets = () => corpus.keywordVectors.map((x) => learner.transform(x).map((value, i) => value - x[i]!));
  for (let click = 0; click < 10; click++) {
    learner.learn({ query: corpus.keywordVectors[click]!, chosen: 3, shown: [1, 2, 3, 4], index });
  }
  const [first, ...others] = offsets();
  expect(Math.hypot(...first!)).toBeGreaterThan(0.01);
  for (const other of others) for (const [i, value] of other.entries()) expect(value).toBeCloseTo(first![i]!, 5);
});

test.each(Object.keys(LEARNERS) as LearnerName[])(
  "%s changes nothing before the first click, and learns from one",
  async (name) => {
    using index = await EmbeddingIndex.create(corpus.documentVectors.map((vector, row) => [row, vector] as const));
    using learner = await createLearner(corpus, LEARNERS[name], { seed: 1 });
    const query = corpus.keywordVectors[0]!;
    expect([...learner.transform(query)]).toEqual([...query]);
    const shown = learner.search(query, index, 10).map(({ id }) => id);
    const chosen = shown.at(-1)!;
    const scoreOf = () => learner.search(query, index, 30).find(({ id }) => id === chosen)!.score;
    const before = scoreOf();
    learner.learn({ query, chosen, shown, index });
    expect(scoreOf()).toBeGreaterThan(before);
  },
);
