import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import * as bare from "./bare.js";
import { fromBase64 } from "./base64.js";
import { createEmbedder } from "./embedder.js";
import { packagedWeights, smallWeights } from "./fixtures.test-support.js";
import * as web from "./index.js";

beforeAll(() => {
  execFileSync(process.execPath, [fileURLToPath(new URL("../inline/make.mjs", import.meta.url))]);
});

/** What a process without a network says of the compiled entry point, which has the weights as code beside it. */
function said(
  entry: string,
  expression: string,
  fetched = 'Promise.reject(new TypeError("Failed to fetch"))',
): unknown {
  const url = new URL(`../dist/${entry}.js`, import.meta.url).href;
  const program = `globalThis.fetch = () => ${fetched};
    const { loadEmbedder } = await import(${JSON.stringify(url)});
    console.log(JSON.stringify(await (${expression})));`;
  return JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" }));
}

test.each([
  ["inline", 256],
  ["inline-128", 128],
] as const)("%s needs neither file nor network", (entry, width) => {
  const expected = createEmbedder(packagedWeights(width));
  const seen = said(entry, "loadEmbedder().then((e) => [e.dimensions, e.fingerprint, [...e.embed('red apple')]])");
  expect(seen).toEqual([width, expected.fingerprint, [...expected.embed("red apple")]]);
});

test.each([
  ["nothing there", undefined],
  ["a page instead", 'Promise.resolve(new Response("<!doctype html>"))'],
])("in development, weights whose address has %s are taken from the code", (_, fetched) => {
  const dimensions = "Promise.all([{}, { dimensions: 100 }].map((o) => loadEmbedder(o).then((e) => e.dimensions)))";
  expect(said("development", dimensions, fetched)).toEqual([256, 100]);
  const given = "loadEmbedder({ weights: 'https://example.org/mine.bin' }).catch((error) => error.name)";
  expect(said("development", given, fetched)).toBe("EmbedError");
});

test("the bare entry says where weights come from, and takes them", async () => {
  await expect(bare.loadEmbedder()).rejects.toMatchObject({
    code: "weights-unavailable",
    message: expect.stringContaining("@microlora/embed/inline"),
  });
  expect((await bare.loadEmbedder({ weights: smallWeights() })).dimensions).toBe(2);
  expect(Object.keys(bare).sort()).toEqual(Object.keys(web).sort());
});

test("base64 is read as Node writes it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
      expect(fromBase64(Buffer.from(bytes).toString("base64"))).toEqual(bytes);
    }),
  );
});

test("the narrow file holds the first components of the wide one, bit for bit", () => {
  const [narrow, cut] = [createEmbedder(packagedWeights(128)), createEmbedder(packagedWeights(), { dimensions: 128 })];
  for (const text of ["red apple", "a steam locomotive", "naïve 中文 😀", ""]) {
    expect(narrow.embed(text)).toEqual(cut.embed(text));
  }
  expect(narrow.fingerprint).toBe(cut.fingerprint);
});

test("the fingerprint tells weights, widths and vocabularies apart, and is that of the packaged weights forever", () => {
  const of = (file: Parameters<typeof smallWeights>[0], dimensions?: number) =>
    createEmbedder(smallWeights(file), dimensions === undefined ? {} : { dimensions }).fingerprint;
  const all = [
    of({}),
    of({}, 1),
    of({ scales: [0.5, 2, 1.5] }),
    of({ codes: [3, 4, 0, -1, 127, -127] }),
    of({ vocabulary: ["a", "c", "##c"] }),
  ];
  expect(new Set(all).size).toBe(all.length);
  expect(of({})).toBe(of({}));
  // The second component does not count here.
  expect(of({ codes: [3, 0, 0, 0, 127, 0] }, 1)).toBe(of({}, 1));
  expect(createEmbedder(packagedWeights()).fingerprint).toBe("static-wordpiece-1:30522x256:0b54ba05");
  expect(createEmbedder(packagedWeights(128)).fingerprint).toBe("static-wordpiece-1:30522x128:a1bff1c6");
  // Whoever changes these bytes changes what was learned with them.
  const digest = createHash("sha256").update(packagedWeights()).digest("hex");
  expect(digest.slice(0, 16)).toBe("1f01106d3e7000ab");
});
