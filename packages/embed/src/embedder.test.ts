import fc from "fast-check";
import { expect, test } from "vitest";
import { createEmbedder } from "./embedder.js";
import {
  type EmbeddingsFixture,
  packagedWeights,
  readFixture,
  refusalCode,
  type SimilaritiesFixture,
  smallWeights,
} from "./fixtures.test-support.js";

const bytes = packagedWeights();
const embedder = createEmbedder(bytes);
const narrow = createEmbedder(bytes, { dimensions: 128 });

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** Positions in ascending order of value; equal values share their mean position. */
function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const out = new Array<number>(values.length);
  for (let start = 0, end = 0; start < order.length; start = end) {
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let i = start; i < end; i++) out[order[i]!] = (start + end - 1) / 2;
  }
  return out;
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (v: readonly number[]) => v.reduce((sum, x) => sum + x, 0) / v.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  const covariance = (v: readonly number[], w: readonly number[], mv: number, mw: number) =>
    v.reduce((sum, x, i) => sum + (x - mv) * (w[i]! - mw), 0);
  return covariance(a, b, meanA, meanB) / Math.sqrt(covariance(a, a, meanA, meanA) * covariance(b, b, meanB, meanB));
}

test("agrees with float64 arithmetic on the same weights", () => {
  for (const { text, float32 } of readFixture<EmbeddingsFixture>("embeddings").cases) {
    const expected = new Float32Array(new Uint8Array(Buffer.from(float32, "base64")).buffer);
    const got = embedder.embed(text);
    expect(got.length).toBe(256);
    got.forEach((value, i) => {
      expect(Math.abs(value - expected[i]!), text).toBeLessThanOrEqual(2 ** -24);
    });
  }
});

test.each([
  [256, embedder, 0.85],
  [128, narrow, 0.85],
] as const)("at %i dimensions pairs of texts rank as MiniLM ranks them", (_, model, floor) => {
  const { pairs } = readFixture<SimilaritiesFixture>("similarities");
  const ours = pairs.map(([a, b]) => dot(model.embed(a), model.embed(b)));
  const cosines = pairs.map(([, , cosine]) => cosine);
  expect(correlation(ranks(ours), ranks(cosines))).toBeGreaterThan(floor);
});

test("any text gives a unit vector, or zeros", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
      const vector = embedder.embed(text);
      const norm = Math.sqrt(dot(vector, vector));
      expect(norm === 0 || Math.abs(norm - 1) < 1e-6).toBe(true);
    }),
  );
});

test.each(["", " \n", "\u0000", "😀", "\ud83d"])("%j holds no known token: zeros", (text) => {
  expect(embedder.embed(text).every((value) => value === 0)).toBe(true);
});

test("case, accents and lone surrogates do not count", () => {
  expect(embedder.embed("CRÈME Brûlée\ud800")).toEqual(embedder.embed("creme brulee"));
});

test("embedInto overwrites, embedBatch keeps the order", () => {
  const texts = ["red apple", "steam locomotive", ""];
  const out = new Float32Array(256).fill(7);
  const rows = embedder.embedBatch(texts);
  texts.forEach((text, i) => {
    expect(embedder.embedInto(text, out)).toBe(out);
    expect(out).toEqual(embedder.embed(text));
    expect(rows[i]).toEqual(out);
  });
  expect(embedder.embedBatch([])).toEqual([]);
});

test("fewer dimensions are the first ones, at unit length", () => {
  const prefix = embedder.embed("a red fruit").subarray(0, 128);
  const norm = Math.sqrt(dot(prefix, prefix));
  const short = narrow.embed("a red fruit");
  expect(narrow.dimensions).toBe(128);
  short.forEach((value, i) => {
    expect(value).toBeCloseTo(prefix[i]! / norm, 6);
  });
});

test("reads maxTokens tokens and no more", () => {
  const short = createEmbedder(bytes, { maxTokens: 2 });
  expect(short.embed("red apple pie")).toEqual(embedder.embed("red apple"));
});

test.each(["a", "a ", "!", "é", "中", "\ud800"])("of a megabyte of %j only the start is read", (unit) => {
  const text = unit.repeat(1_000_000 / unit.length);
  expect(embedder.embed(`${text}locomotive`)).toEqual(embedder.embed(text.slice(0, 64 * 512)));
});

test("sums scaled codes", () => {
  const small = createEmbedder(smallWeights());
  expect([...small.embed("a")]).toEqual([Math.fround(0.6), Math.fround(0.8)]);
  expect([...small.embed("b")]).toEqual([0, -1]);
});

test.each([undefined, null, 1, {}, ["text"]])("%j is no text", (value) => {
  const text = value as unknown as string;
  expect(refusalCode(() => embedder.embed(text))).toBe("not-a-string");
  expect(refusalCode(() => embedder.embedBatch([text]))).toBe("not-a-string");
});

test("a buffer of another width is refused", () => {
  expect(refusalCode(() => embedder.embedInto("a", new Float32Array(255)))).toBe("wrong-length");
});

test.each([0, -1, 1.5, 257, Number.NaN])("dimensions %d are refused", (dimensions) => {
  expect(refusalCode(() => createEmbedder(bytes, { dimensions }))).toBe("invalid-option");
});

test.each([0, 1.5, Infinity])("maxTokens %d is refused", (maxTokens) => {
  expect(refusalCode(() => createEmbedder(bytes, { maxTokens }))).toBe("invalid-option");
});
