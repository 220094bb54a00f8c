import { describe, expect, test } from "vitest";
import { expectRefusal, expectRejection } from "../base/refusals.test-support.js";
import { floats, withElement } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { Runtime } from "../kernels/runtime.js";
import { cosine64 } from "../learner/feedback/reference.test-support.js";
import { EmbeddingIndex } from "./embedding-index.js";

const N = 19;
const DOCUMENTS = Array.from({ length: 200 }, (_, j) => [`d${j}`, floats(N, j, 10 ** ((j % 5) - 2))] as const);

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test("search gives what sorting all cosines gives", async () => {
    const runtime = await Runtime.create({ kernels, memoryBytes: 2 ** 20 });
    using index = await EmbeddingIndex.create(DOCUMENTS, { runtime });
    for (const scale of [1, 1e-25, 1e-40, 1e25, 3e38]) {
      const query = floats(N, 999, scale);
      const sorted = DOCUMENTS.map(([id, vector]) => ({ id, score: cosine64(query, vector) })).sort(
        (a, b) => b.score - a.score,
      );
      const tolerance = scale === 1e-40 ? 1e-3 : 1e-6;
      for (const k of [0, 1, 7, 200, 1000]) {
        const hits = index.search(query, k);
        expect(hits).toHaveLength(Math.min(k, 200));
        for (const [rank, { id, score }] of hits.entries()) {
          expect(Math.abs(score - sorted[rank]!.score)).toBeLessThan(tolerance);
          expect(Math.abs(score - sorted.find((each) => each.id === id)!.score)).toBeLessThan(tolerance);
        }
      }
    }
  });

  test("equal scores come in the order in which the documents were given", async () => {
    const runtime = await Runtime.create({ kernels, memoryBytes: 2 ** 20 });
    const vectors = [floats(N, 1), floats(N, 2)];
    using index = await EmbeddingIndex.create(
      Array.from({ length: 30 }, (_, j) => [j, vectors[j % 2]!] as const),
      { runtime },
    );
    const ids = index.search(floats(N, 1), 20).map(({ id }) => id);
    expect(ids).toEqual([...Array.from({ length: 15 }, (_, j) => 2 * j), 1, 3, 5, 7, 9]);
  });
});

test("documents are copied, and their length does not matter", async () => {
  const vector = floats(N, 1, 100);
  using index = await EmbeddingIndex.create([["a", vector]]);
  vector.fill(0);
  expect(index.search(floats(N, 1), 1)[0]!.score).toBeCloseTo(1, 6);
});

test("an empty index finds nothing; a document of zeros scores 0", async () => {
  using empty = await EmbeddingIndex.create([]);
  expect(empty.size).toBe(0);
  expect(empty.search(floats(4, 1), 3)).toEqual([]);
  using index = await EmbeddingIndex.create([["zero", new Float32Array(N)]]);
  expect(index.search(floats(N, 1), 3)).toEqual([{ id: "zero", score: 0 }]);
});

test("what is no document is refused, and takes no memory", async () => {
  const runtime = await Runtime.create({ memoryBytes: 65_536 });
  const good = ["a", floats(N, 1)] as const;
  const create = (...others: (readonly [string | number, Float32Array])[]) =>
    EmbeddingIndex.create([good, ...others], { runtime });
  await expectRejection(create(["b", floats(N + 1, 2)]), "shape-mismatch", "document b");
  await expectRejection(EmbeddingIndex.create([["c", undefined as never]]), "shape-mismatch", "document c");
  await expectRejection(create(["b", [1, 2] as unknown as Float32Array]), "shape-mismatch", "document b");
  await expectRejection(create(["b", "text" as unknown as Float32Array]), "shape-mismatch", "document b");
  await expectRejection(create(["b", withElement(floats(N, 2), 3, Number.NaN)]), "not-finite", "document b[3]");
  await expectRejection(create(["a", floats(N, 2)]), "invalid-config", "document a");
  const many = Array.from({ length: 1000 }, (_, j) => [j, floats(N, j)] as const);
  await expectRejection(create(...many), "memory-full");
  expect(withoutScratch(runtime)).toBe(0);
});

test("what is no query is refused", async () => {
  using index = await EmbeddingIndex.create(DOCUMENTS);
  expectRefusal(() => index.search(floats(N - 1, 1), 3), "shape-mismatch", "query");
  expectRefusal(() => index.search("orange" as unknown as Float32Array, 3), "shape-mismatch", "query");
  expectRefusal(() => index.search(withElement(floats(N, 1), 5, Number.NaN), 3), "not-finite", "query[5]");
  for (const k of [-1, 1.5]) expectRefusal(() => index.search(floats(N, 1), k), "out-of-range", "k");
  expectRefusal(() => index.search(floats(N, 1), Number.NaN), "not-finite", "k");
});

/** Bytes in use, work space given back. */
function withoutScratch(runtime: Runtime): number {
  for (const scratch of Object.values(runtime.scratch)) scratch.release();
  return runtime.usedBytes;
}

test("use after disposal is refused", async () => {
  const runtime = await Runtime.create({ memoryBytes: 65_536 });
  const index = await EmbeddingIndex.create(DOCUMENTS, { runtime });
  index[Symbol.dispose]();
  index[Symbol.dispose]();
  expect(withoutScratch(runtime)).toBe(0);
  expectRefusal(() => index.search(floats(N, 1), 3), "disposed", "index");
});
