import { describe, expect, test } from "vitest";
import { apart } from "./adapter/reference.test-support.js";
import { expectRefusal, expectRejection, expectSameBytes } from "./base/refusals.test-support.js";
import { floats, withElement } from "./base/samples.test-support.js";
import type { Click } from "./click.js";
import { EmbeddingIndex } from "./embedding-index.js";
import { KERNELS_NAMES } from "./kernels/contract.js";
import { Runtime } from "./kernels/runtime.js";
import { gradient64, loss64, Recall64, unit64 } from "./learn/reference.test-support.js";
import { Personalizer } from "./personalizer.js";

const N = 12;
const TEMPERATURE = 0.1;
const DOCUMENTS = Array.from({ length: 30 }, (_, j) => floats(N, j + 100));
const clickAt = (k: number): Click => ({
  query: floats(N, k, 0.5 + k),
  chosen: DOCUMENTS[(7 * k + 3) % 10]!,
  shown: DOCUMENTS.slice(0, 10),
});

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test("recall alone follows the formula, as a ring of the last clicks", async () => {
    const settings = { sharpness: 14, strength: 0.5, nullSimilarity: 0.1, learningRate: 0.05, mergeSimilarity: null };
    const recall = { ...settings, bytes: 5 * 8 * N + 7 };
    using personalizer = await Personalizer.create({
      dimensions: N,
      temperature: TEMPERATURE,
      slow: false,
      recall,
      kernels,
    });
    const expected = new Recall64(5, settings);
    for (let k = 0; k < 13; k++) {
      const click = clickAt(k);
      const x = unit64(click.query);
      const y = expected.transform(x);
      const length = Math.hypot(...click.query);
      expect(
        apart(
          personalizer.transform(click.query),
          y.map((v) => v * length),
          1e-5,
        ),
      ).toEqual([]);
      const chosen = click.shown.indexOf(click.chosen);
      const { loss, gradientNorm } = personalizer.learn(click);
      const documents = DOCUMENTS.slice(0, 10);
      const gradient = gradient64(y, documents, chosen, TEMPERATURE);
      expect(loss).toBeCloseTo(loss64(y, documents, chosen, TEMPERATURE), 4);
      expect(gradientNorm).toBeCloseTo(Math.hypot(...gradient), 3);
      expected.learn(x, gradient);
    }
    const { recall: kept } = personalizer.exportState();
    expect(kept).toMatchObject({ next: 13 % 5 });
    expect(kept!.keys).toHaveLength(5 * N);
  });

  test("a query asked again takes the place of its last click; the slow weights act, and learn, by recall's share", async () => {
    const settings = { sharpness: 9, strength: 0.3, nullSimilarity: 0.3, learningRate: 0.05, mergeSimilarity: 0.9 };
    const slow = { rank: 1, alpha: 1, directions: [new Float32Array(N)], learningRate: 0.2, ewcLambda: 0 };
    const recall = { ...settings, bytes: 6 * 8 * N };
    using personalizer = await Personalizer.create({ dimensions: N, temperature: TEMPERATURE, slow, recall, kernels });
    const expected = new Recall64(6, settings);
    const bias = new Float64Array(N);
    const documents = DOCUMENTS.slice(0, 10);
    for (let k = 0; k < 16; k++) {
      const click = { ...clickAt(k), query: clickAt(k % 5).query };
      const x = unit64(click.query);
      const gate = expected.gate(x);
      const y = expected.transform(x).map((v, i) => v + gate * bias[i]!);
      const length = Math.hypot(...click.query);
      const wanted = y.map((v) => v * length);
      expect(apart(personalizer.transform(click.query), wanted, 1e-4)).toEqual([]);
      const gradient = gradient64(y, documents, click.shown.indexOf(click.chosen), TEMPERATURE);
      personalizer.learn(click);
      expected.learn(x, gradient);
      for (const [i, g] of gradient.entries()) bias[i]! -= 0.2 * gate * g;
    }
    expect(personalizer.exportState().recall).toMatchObject({ next: 5 });
    expect(apart(personalizer.slow!.adapterOf("query").bias!, bias, 1e-3)).toEqual([]);
  });

  test("the slow weights alone take one step of dLoss/dy through y = x + delta(x)", async () => {
    const slow = { rank: 2, alpha: 2, bias: true, learningRate: 0.05, ewcLambda: 0 };
    using personalizer = await Personalizer.create({
      dimensions: N,
      temperature: TEMPERATURE,
      slow,
      recall: false,
      kernels,
    });
    const bias = new Float64Array(N);
    const click = clickAt(1);
    const x = unit64(click.query);
    const chosen = click.shown.indexOf(click.chosen);
    const gradient = gradient64(x, DOCUMENTS.slice(0, 10), chosen, TEMPERATURE);
    personalizer.learn(click);
    for (const [i, g] of gradient.entries()) bias[i] = -0.05 * g;
    const adapter = personalizer.slow!.getAdapter("query")!;
    expect(apart(adapter.bias!, bias, 1e-4)).toEqual([]);
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

  test("ids and vectors teach the same, bit for bit", async () => {
    const runtime = await Runtime.create({ kernels, memoryBytes: 2 ** 21 });
    using index = await EmbeddingIndex.create(
      DOCUMENTS.map((vector, j) => [j, vector] as const),
      { runtime },
    );
    using byVector = await Personalizer.create({ dimensions: N, runtime });
    using byId = await Personalizer.create({ dimensions: N, runtime });
    for (let k = 0; k < 8; k++) {
      const click = clickAt(k);
      const id = (item: Click["chosen"]) => DOCUMENTS.indexOf(item as Float32Array);
      byVector.learn({ ...click, chosen: (click.chosen as Float32Array).slice() });
      const shown = click.shown.map((item, j) => (j % 3 === 1 ? item : id(item)));
      byId.learn({ query: click.query, shown, chosen: shown[click.shown.indexOf(click.chosen)]!, index });
    }
    expectSameBytes(byId.toBytes(), byVector.toBytes());
    expect(byId.search(clickAt(1).query, index, 5)).toEqual(index.search(byId.transform(clickAt(1).query), 5));
  });

  test("a click brings what was chosen up", async () => {
    using personalizer = await Personalizer.create({ dimensions: N, kernels });
    const first = personalizer.learn(clickAt(1)).loss;
    expect(personalizer.learn(clickAt(1)).loss).toBeLessThan(first);
  });
});

describe("refused clicks leave everything as it was", () => {
  const good = clickAt(1);
  const nan = withElement(DOCUMENTS[2]!, 4, Number.NaN);
  const REFUSED: readonly (readonly [what: string, code: Parameters<typeof expectRefusal>[1], change: object])[] = [
    ["chosen that was not shown", "not-shown", { chosen: DOCUMENTS[20]! }],
    ["nothing shown", "not-shown", { shown: [] }],
    ["an unknown id", "unknown-document", { chosen: 3, shown: [3, 999] }],
    ["an id that was not shown", "not-shown", { chosen: 4, shown: [3, 5] }],
    ["ids without an index", "invalid-config", { chosen: 3, shown: [3, 4], index: undefined }],
    ["a query of zeros", "nothing-to-learn-from", { query: new Float32Array(N) }],
    ["a query with NaN", "not-finite", { query: withElement(good.query, 2, Number.NaN) }],
    ["a query with Infinity", "not-finite", { query: withElement(good.query, 2, Number.POSITIVE_INFINITY) }],
    ["a query of another width", "shape-mismatch", { query: floats(N + 1, 1) }],
    ["a query as an array", "shape-mismatch", { query: [...good.query] }],
    ["a document with NaN", "not-finite", { shown: [...good.shown, nan] }],
    ["a chosen document with NaN", "not-finite", { shown: [nan], chosen: nan }],
    ["a document of another width", "shape-mismatch", { shown: [...good.shown, floats(N - 1, 1)] }],
    ["a document as an array", "shape-mismatch", { shown: [...good.shown, [...floats(N, 1)]] }],
  ];

  test.each(REFUSED)("%s", async (_, code, change) => {
    using index = await EmbeddingIndex.create(DOCUMENTS.map((vector, j) => [j, vector] as const));
    using personalizer = await Personalizer.create({ dimensions: N });
    personalizer.learn(good);
    const before = personalizer.toBytes();
    expectRefusal(() => personalizer.learn({ ...good, index, ...change } as Click), code);
    expectSameBytes(personalizer.toBytes(), before);
    expect(personalizer.clicks).toBe(1);
  });

  test("an index of another width, or of another runtime", async () => {
    using narrow = await EmbeddingIndex.create([[1, floats(N - 1, 1)]]);
    using elsewhere = await EmbeddingIndex.create([[1, floats(N, 1)]], { runtime: await Runtime.create() });
    using personalizer = await Personalizer.create({ dimensions: N });
    const before = personalizer.toBytes();
    for (const index of [narrow, elsewhere]) {
      expectRefusal(() => personalizer.learn({ query: good.query, shown: [1], chosen: 1, index }), "invalid-config");
    }
    expectSameBytes(personalizer.toBytes(), before);
  });

  test("a step that the slow weights refuse, after recall made room", async () => {
    using personalizer = await Personalizer.create({ dimensions: N, slow: { learningRate: 1e30 } });
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
    expect(personalizer.learn(good)).toMatchObject({ applied: false, reason: "disabled", loss: 0, gradientNorm: 0 });
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

test.each([-1, 0, 65, 1.5, Number.NaN, 2 ** 40])("slow weights of rank %s are refused", async (rank) => {
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

test("no feedback and no index are refused", async () => {
  using personalizer = await Personalizer.create({ dimensions: N });
  for (const feedback of [null, undefined])
    expectRefusal(() => personalizer.learn(feedback as never), "mixed-feedback");
  expectRefusal(() => personalizer.search(floats(N, 1), undefined as never, 3), "invalid-config", "index");
});
