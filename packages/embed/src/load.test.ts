import { describe, expect, test } from "vitest";
import { packagedWeights, smallWeights } from "./fixtures.test-support.js";
import * as web from "./index.js";
import * as node from "./node.js";

const nowhere = new URL("../weights/no-such-file.bin", import.meta.url);

describe.each([
  ["web", web],
  ["node", node],
])("%s entry", (_, entry) => {
  test("takes bytes", async () => {
    const embedder = await entry.loadEmbedder({ weights: smallWeights(), dimensions: 1 });
    expect([...embedder.embed("a")]).toEqual([1]);
  });

  test("fetches a URL", async () => {
    const url = new URL(`data:application/octet-stream;base64,${Buffer.from(smallWeights()).toString("base64")}`);
    expect((await entry.loadEmbedder({ weights: url })).dimensions).toBe(2);
  });

  test("refuses a place that holds nothing", async () => {
    await expect(entry.loadEmbedder({ weights: nowhere })).rejects.toMatchObject({
      name: "EmbedError",
      code: "weights-unavailable",
      where: nowhere.href,
    });
  });

  test("refuses damaged weights", async () => {
    const bytes = Uint8Array.from(packagedWeights());
    bytes[5_000_000]! ^= 1;
    await expect(entry.loadEmbedder({ weights: bytes })).rejects.toMatchObject({ code: "checksum-mismatch" });
  });
});

test("the node entry finds the package's weights and exports what the web entry does", async () => {
  expect((await node.loadEmbedder()).dimensions).toBe(256);
  expect((await node.loadEmbedder({ dimensions: 128 })).dimensions).toBe(128);
  expect(Object.keys(node).sort()).toEqual(Object.keys(web).sort());
});
