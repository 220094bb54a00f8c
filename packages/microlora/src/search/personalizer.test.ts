import { describe, expect, test } from "vitest";
import { apart } from "../adapter/reference.test-support.js";
import { expectRefusal, expectRejection, expectSameBytes } from "../base/refusals.test-support.js";
import { floats, withElement } from "../base/samples.test-support.js";
import { unitOf } from "../base/unit.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { Runtime } from "../kernels/runtime.js";
import { cosine64, gradient64, unit64 } from "../learner/feedback/reference.test-support.js";
import { EmbeddingIndex } from "./embedding-index.js";
import { Personalizer } from "./personalizer.js";
import { PERSONALIZER_DEFAULTS } from "./personalizer-config.js";
import { ownMargin64, Rule64 } from "./rule.test-support.js";

const N = 12;
const TEMPERATURE = 0.1;
const DOCUMENTS = Array.from({ length: 30 }, (_, j) => floats(N, j + 100));
const clickAt = (k: number) => ({
  query: floats(N, k, 0.5 + k),
  chosen: DOCUMENTS[(7 * k + 3) % 10]!,
  shown: DOCUMENTS.slice(0, 10),
});

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test.each([
    ["over an index", true, 12],
    ["without an index", false, 12],
    ["with few rows", true, 4],
  ])("follows the rule %s, as float64 does", async (_, indexed, rows) => {
    const runtime = await Runtime.create({ kernels, memoryBytes: 2 ** 21 });
    const documents = DOCUMENTS.map((vector) => unit64(vector));
    using index = await EmbeddingIndex.create(
      DOCUMENTS.map((vector, j) => [j, vector] as const),
      { runtime },
    );
    const plain = { search: () => [], vectorOf: (id: number) => DOCUMENTS[id] };
    const recall = { ...PERSONALIZER_DEFAULTS.recall, rows };
    using user = await Personalizer.create({ dimensions: N, recall, runtime });
    const expected = new Rule64(documents, indexed ? ownMargin64(documents) : null, recall);
    if (indexed) expect(index.ownMargin()).toBeCloseTo(expected.own!, 6);
    for (let k = 0; k < 40; k++) {
      const query = floats(N, k % 3 === 0 ? 7 : k % 11, 0.5 + k);
      const shown = [...new Set(Array.from({ length: 8 }, (_, j) => (k * 7 + j * (1 + (k % 5))) % DOCUMENTS.length))];
      const place = expected.place(query);
      const length = Math.hypot(...query);
      const transformed = user.transform(query, indexed ? index : undefined);
      expect(
        apart(
          transformed,
          place.y.map((v) => v * length),
          1e-4,
        ),
      ).toEqual([]);
      const offsets = expected.offsets(shown, place.share);
      for (const { item, score } of user.rank(query, shown, { index: indexed ? index : plain })) {
        const at = shown.indexOf(item);
        expect(score).toBeCloseTo(cosine64(place.y, documents[item]!) + offsets[at]!, 4);
      }
      const kind = k % 6;
      const chosen = shown[k % shown.length]!;
      const given =
        kind === 4 ? { chosen: null, shown } : kind === 5 ? { stars: 1 + (k % 5), item: chosen } : { chosen, shown };
      const event =
        kind === 4
          ? { query, shown }
          : kind === 5
            ? { query, shown: [chosen], rating: ((k % 5) - 2) / 2 }
            : { query, shown, chosen: k % shown.length };
      const { loss, gradientNorm } = user.learn({ query, ...given, index: indexed ? index : plain } as never);
      const wanted = expected.learn(event);
      expect(loss).toBeCloseTo(wanted.loss, 3);
      expect(gradientNorm).toBeCloseTo((kind === 4 ? 0.1 : 1) * Math.hypot(...wanted.gradient), 2);
    }
    const { recall: kept, items, slow } = user.exportState();
    expect(kept!.scales).toHaveLength(expected.rows.length);
    expect(kept!.next).toBe(expected.next);
    expect(items!.weight).toBeCloseTo(expected.itemWeight, 6);
    expect(new Map(items!.counts)).toEqual(expected.counts);
    expect(apart(slow!.adapters[0]!.bias!, expected.bias, 1e-4)).toEqual([]);
  });

  test("without recall, the slow weights learn by the formula", async () => {
    const slow = { rank: 2, alpha: 2, learningRate: 0.05, ewcLambda: 0 };
    using personalizer = await Personalizer.create({
      dimensions: N,
      temperature: TEMPERATURE,
      recall: false,
      slow,
      kernels,
    });
    const click = clickAt(3);
    const x = unit64(click.query);
    const chosen = click.shown.indexOf(click.chosen);
    const gradient = gradient64(x, DOCUMENTS.slice(0, 10), chosen, TEMPERATURE);
    personalizer.learn(click);
    const adapter = personalizer.slow!.getAdapter("query")!;
    expect(
      apart(
        adapter.bias!,
        gradient.map((g) => -0.05 * g),
        1e-4,
      ),
    ).toEqual([]);
    const u = [0, 1].map((r) => x.reduce((sum, v, i) => sum + v * adapter.loraA[r * N + i]!, 0));
    const b = [0, 1].flatMap((r) => [...gradient].map((g) => -0.05 * u[r]! * g));
    expect(apart(adapter.loraB, b, 1e-4)).toEqual([]);
  });

  test("untrained, it gives back its input; trained, it scales with it", async () => {
    using personalizer = await Personalizer.create({ dimensions: N, kernels });
    for (const scale of [1e-30, 1, 1e30]) {
      const query = floats(N, 1, scale);
      const output = personalizer.transform(query);
      expect([...output]).toEqual([...query]);
      expect(output === query).toBe(false);
    }
    for (let k = 0; k < 5; k++) personalizer.learn(clickAt(k));
    const { query } = clickAt(2);
    const one = personalizer.transform(query);
    expect(apart(one, query, 0.01)).not.toEqual([]);
    for (const scale of [0.25, 8, 1024]) {
      const scaled = personalizer.transform(query.map((v) => v * scale));
      expect(
        apart(
          scaled,
          one.map((v) => v * scale),
          1e-6,
        ),
      ).toEqual([]);
    }
    expect([...personalizer.transform(new Float32Array(N))]).toEqual([...new Float32Array(N)]);
  });

  test("ids, vectors and both teach the same, bit for bit", async () => {
    const runtime = await Runtime.create({ kernels, memoryBytes: 2 ** 21 });
    const units = DOCUMENTS.map((vector) => unitOf(vector, "document"));
    const index = { search: () => [], vectorOf: (id: number) => units[id] };
    using byId = await Personalizer.create({ dimensions: N, runtime });
    using byBoth = await Personalizer.create({ dimensions: N, runtime });
    using byVector = await Personalizer.create({ dimensions: N, items: false, runtime });
    using withoutItems = await Personalizer.create({ dimensions: N, items: false, runtime });
    for (let k = 0; k < 8; k++) {
      const { query } = clickAt(k);
      const shown = [0, 1, 2, 3, 4, 2];
      const both = shown.map((id) => ({ id, vector: [...units[id]!] }));
      const chosen = k % 5;
      byId.learn({ query, shown, chosen, index });
      withoutItems.learn({ query, shown, chosen, index });
      byBoth.learn({ query, shown: both, chosen: both[chosen]! });
      byVector.learn({ query: [...query], shown: shown.map((id) => units[id]!), chosen: units[chosen]!.slice() });
    }
    expectSameBytes(byBoth.toBytes(), byId.toBytes());
    expectSameBytes(byVector.toBytes(), withoutItems.toBytes());
  });

  test("a click brings what was chosen up", async () => {
    using personalizer = await Personalizer.create({ dimensions: N, kernels });
    const first = personalizer.learn(clickAt(1)).loss;
    expect(personalizer.learn(clickAt(1)).loss).toBeLessThan(first!);
  });
});

describe("refused clicks leave everything as it was", () => {
  const good = clickAt(1);
  const nan = withElement(DOCUMENTS[2]!, 4, Number.NaN);
  const REFUSED: readonly (readonly [what: string, code: Parameters<typeof expectRefusal>[1], change: object])[] = [
    ["chosen that was not shown", "not-shown", { chosen: DOCUMENTS[20]! }],
    ["nothing shown", "nothing-to-learn-from", { shown: [] }],
    ["an unknown id", "unknown-document", { chosen: 3, shown: [3, 999] }],
    ["an id that was not shown", "not-shown", { chosen: 4, shown: [3, 5] }],
    ["ids without an index", "invalid-config", { chosen: 3, shown: [3, 4], index: undefined }],
    ["a query of zeros", "nothing-to-learn-from", { query: new Float32Array(N) }],
    ["a query with NaN", "not-finite", { query: withElement(good.query, 2, Number.NaN) }],
    ["a query with Infinity", "not-finite", { query: withElement(good.query, 2, Number.POSITIVE_INFINITY) }],
    ["a query of another width", "shape-mismatch", { query: floats(N + 1, 1) }],
    ["a query as a text", "shape-mismatch", { query: "text" }],
    ["a query as a list with a hole", "shape-mismatch", { query: [...good.query].fill(undefined as never, 3, 4) }],
    ["a document with NaN", "not-finite", { shown: [...good.shown, nan] }],
    ["a chosen document with NaN", "not-finite", { shown: [nan], chosen: nan }],
    ["a document of another width", "shape-mismatch", { shown: [...good.shown, floats(N - 1, 1)] }],
    ["a document as a list of texts", "shape-mismatch", { shown: [...good.shown, good.query.join().split(",")] }],
  ];

  test.each(REFUSED)("%s", async (_, code, change) => {
    using index = await EmbeddingIndex.create(DOCUMENTS.map((vector, j) => [j, vector] as const));
    using personalizer = await Personalizer.create({ dimensions: N });
    personalizer.learn(good);
    const before = personalizer.toBytes();
    expectRefusal(() => personalizer.learn({ ...good, index, ...change } as never), code);
    expectSameBytes(personalizer.toBytes(), before);
    expect(personalizer.clicks).toBe(1);
  });

  test("an index of another width", async () => {
    using index = await EmbeddingIndex.create([[1, floats(N - 1, 1)]]);
    using personalizer = await Personalizer.create({ dimensions: N });
    const before = personalizer.toBytes();
    expectRefusal(() => personalizer.learn({ query: good.query, shown: [1], chosen: 1, index }), "shape-mismatch");
    expectRefusal(() => personalizer.search(good.query, index, 1), "shape-mismatch", "index");
    expectSameBytes(personalizer.toBytes(), before);
  });

  test("a step that the slow weights refuse, after recall made room", async () => {
    const slow = { rank: 1, learningRate: 1e30, gated: false };
    using personalizer = await Personalizer.create({ dimensions: N, slow });
    personalizer.slow!.getAdapter("query")!.loraA.fill(1e15);
    const before = personalizer.toBytes();
    expectRefusal(() => personalizer.learn(good), "update-overflow");
    expectSameBytes(personalizer.toBytes(), before);
    expect(personalizer.clicks).toBe(0);
  });

  test("a click while disabled, and one after disposal", async () => {
    const personalizer = await Personalizer.create({ dimensions: N });
    personalizer.learn(good);
    personalizer.enabled = false;
    const before = personalizer.toBytes();
    expect(personalizer.learn(good)).toMatchObject({ applied: false, reason: "disabled", loss: null, gradientNorm: 0 });
    expect([...personalizer.transform(good.query)]).toEqual([...good.query]);
    expectSameBytes(personalizer.toBytes(), before);
    personalizer[Symbol.dispose]();
    personalizer[Symbol.dispose]();
    for (const use of [
      () => personalizer.learn(good),
      () => personalizer.transform(good.query),
      () => personalizer.consolidate(),
      () => personalizer.exportState(),
      () => personalizer.toBytes(),
    ]) {
      expectRefusal(use, "disposed");
    }
  });
});

test.each([-1, 65, 1.5, Number.NaN, 2 ** 40])("slow weights of rank %s are refused", async (rank) => {
  await expectRejection(Personalizer.create({ dimensions: N, slow: { rank } }), "invalid-config", "query.rank");
});

test.each([
  ["config.dims", { dims: N }],
  ["slow.lr", { slow: { lr: 0.1 } }],
  ["recall.size", { recall: { size: 3 } }],
  ["learning.score", { learning: { score: "dot" } }],
  ["slow", { slow: 5 }],
])("an option that does not exist is refused: %s", async (where, config) => {
  await expectRejection(Personalizer.create({ dimensions: N, ...config } as never), "invalid-config", where);
});

test("room for kept queries may be told in bytes, and takes no more", async () => {
  const ofBytes = (bytes: number) => ({ dimensions: N, recall: { bytes } });
  const rowsOf = async (bytes: number) => {
    using personalizer = await Personalizer.create(ofBytes(bytes));
    return personalizer.config.recall!.rows;
  };
  for (const bytes of [0, 27, 28, 3000, 1e6]) {
    const rows = await rowsOf(bytes);
    const taken = Personalizer.memoryBytes({ ...ofBytes(bytes), slow: false }, Number.MAX_SAFE_INTEGER);
    expect(taken).toBeLessThanOrEqual(bytes);
    expect(
      Personalizer.memoryBytes({ dimensions: N, slow: false, recall: { rows: rows + 1 } }, rows + 1),
    ).toBeGreaterThan(bytes);
  }
  expect(await rowsOf(Number.MAX_SAFE_INTEGER)).toBe(2 ** 16);
  await expectRejection(Personalizer.create(ofBytes(-1)), "out-of-range", "recall.bytes");
  const both = { dimensions: N, recall: { rows: 3, bytes: 300 } };
  await expectRejection(Personalizer.create(both), "invalid-config", "recall.bytes");
});

test("no feedback and no index are refused", async () => {
  using personalizer = await Personalizer.create({ dimensions: N });
  for (const feedback of [null, undefined])
    expectRefusal(() => personalizer.learn(feedback as never), "nothing-to-learn-from");
  expectRefusal(() => personalizer.search(floats(N, 1), undefined as never, 3), "invalid-config", "index");
});
