import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { LoadProgress } from "./download.js";
import { packagedWeights, smallWeights } from "./fixtures.test-support.js";
import * as web from "./index.js";
import * as node from "./node.js";

const nowhere = new URL("../weights/no-such-file.bin", import.meta.url);

describe.each([
  ["web", web],
  ["node", node],
])("%s entry", (_, entry) => {
  test("takes bytes, a buffer, or a response", async () => {
    const bytes = smallWeights();
    for (const weights of [bytes, bytes.buffer, new Response(bytes)]) {
      const embedder = await entry.loadEmbedder({ weights, dimensions: 1 });
      expect([...embedder.embed("a")]).toEqual([1]);
    }
  });

  test("fetches a URL", async () => {
    const url = new URL(`data:application/octet-stream;base64,${Buffer.from(smallWeights()).toString("base64")}`);
    expect((await entry.loadEmbedder({ weights: url })).dimensions).toBe(2);
    expect((await entry.loadEmbedder({ weights: url.href })).dimensions).toBe(2);
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

  test.each([
    ["options", null],
    ["options", 5],
    ["weight", { weight: smallWeights() }],
    ["weights", { weights: 5 }],
    ["weights", { weights: null }],
    ["weights", { weights: "" }],
    ["cache", { weights: smallWeights(), cache: "yes" }],
    ["cache", { weights: smallWeights(), cache: { get: 5 } }],
    ["signal", { weights: smallWeights(), signal: {} }],
    ["onProgress", { weights: smallWeights(), onProgress: true }],
    ["dimensions", { weights: smallWeights(), dimensions: "2" }],
  ])("refuses %s by name: %j", async (where, options) => {
    await expect(entry.loadEmbedder(options as object)).rejects.toMatchObject({ code: "invalid-option", where });
  });
});

describe("the node entry", () => {
  test("finds the package's weights, the smaller file where it is enough", async () => {
    const loaded: LoadProgress[] = [];
    const onProgress = (progress: LoadProgress) => void loaded.push(progress);
    expect((await node.loadEmbedder({ onProgress })).dimensions).toBe(256);
    expect((await node.loadEmbedder({ onProgress, dimensions: 128 })).dimensions).toBe(128);
    expect((await node.loadEmbedder({ onProgress, dimensions: 129 })).dimensions).toBe(129);
    const sizes = [256, 128, 256].map((width) => packagedWeights(width as 128 | 256).length);
    expect(loaded).toEqual(sizes.map((total) => ({ loaded: total, total })));
  });

  test("exports what the web entry does", () => {
    expect(Object.keys(node).sort()).toEqual(Object.keys(web).sort());
  });

  test("ends with the signal's reason", async () => {
    const reason = new Error("the user left");
    await expect(node.loadEmbedder({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const loading = node.loadEmbedder({ signal: controller.signal });
    controller.abort(reason);
    await expect(loading).rejects.toBe(reason);
  });
});

describe("from a server", () => {
  let server: Server;
  let origin: string;
  let requests = 0;
  let answer: RequestListener;
  beforeAll(async () => {
    server = createServer((request, response) => {
      requests++;
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/weights.bin`;
  });
  afterAll(() => server.close());
  afterEach(() => vi.unstubAllGlobals());

  const load = (options: web.LoadOptions = {}) => web.loadEmbedder({ weights: new URL(origin), ...options });

  function send(body: Uint8Array | string, headers: Record<string, string> = {}, status = 200): void {
    answer = (_, response) => void response.writeHead(status, headers).end(body);
  }

  const file = packagedWeights(128);

  test("tells how much has arrived, at last all of it", async () => {
    const sent: RequestListener[] = [
      (_, response) => void response.writeHead(200, { "content-length": String(file.length) }).end(file),
      (_, response) => {
        response.write(file.subarray(0, 10));
        setTimeout(() => response.write(file.subarray(10, 1000)), 20);
        setTimeout(() => response.end(file.subarray(1000)), 40);
      },
      (_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(file)),
    ];
    for (answer of sent) {
      const told: LoadProgress[] = [];
      const embedder = await load({ onProgress: (progress) => void told.push(progress) });
      expect(embedder.dimensions).toBe(128);
      expect(told.length).toBeGreaterThan(1);
      expect(told.at(-1)).toEqual({ loaded: file.length, total: file.length });
      told.reduce((before, { loaded, total }) => {
        expect(loaded).toBeGreaterThan(before);
        expect(total).toBe(loaded < 24 ? undefined : file.length);
        return loaded;
      }, 0);
    }
  });

  test.each([
    ["an HTML page came (content type text/html)", "text/html", "<!DOCTYPE html>\n<html><head></head></html>"],
    ["an HTML page came (content type text/html; charset=utf-8)", "text/html; charset=utf-8", "\ufeff \n<HTML>"],
    ["an HTML page came (content type application/octet-stream)", "application/octet-stream", "<!-- x --><html>"],
    ["JSON came (content type application/json)", "application/json", '{"error":"not found"}'],
    ["a Git LFS pointer came", "", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a"],
    ["another file came (content type image/png)", "image/png", "\u0089PNG"],
  ])("names what came instead: %s", async (problem, type, body) => {
    send(body, type === "" ? {} : { "content-type": type });
    const error = await load().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(web.EmbedError);
    expect(error).toMatchObject({ code: "not-weights", where: origin });
    expect((error as Error).message).toContain(`${problem}, not the weights. Check the address.`);
  });

  test("names a file that is still compressed", async () => {
    send(gzipSync(file), { "content-type": "application/gzip" });
    await expect(load()).rejects.toThrow("a gzip file came (content type application/gzip)");
  });

  test("weights are weights whatever the server calls them", async () => {
    send(file, { "content-type": "text/html" });
    expect((await load()).dimensions).toBe(128);
  });

  test("what is not weights is not loaded to its end", async () => {
    let isClosed = false;
    answer = (_, response) => {
      response.on("close", () => {
        isClosed = true;
      });
      response.write("<html>");
      const timer = setInterval(() => response.write("x".repeat(100_000)), 1);
      response.on("close", () => clearInterval(timer));
    };
    await expect(load()).rejects.toMatchObject({ code: "not-weights" });
    await vi.waitFor(() => expect(isClosed).toBe(true));
  });

  test.each([404, 500])("names the status %i", async (status) => {
    send("<html>", { "content-type": "text/html" }, status);
    await expect(load()).rejects.toMatchObject({
      code: "weights-unavailable",
      where: origin,
      message: expect.stringContaining(`status ${status}`),
    });
  });

  test("an answer that ends early, goes on too long or breaks off is refused", async () => {
    for (const length of [0, 2, 10]) {
      send(file.subarray(0, length));
      await expect(load()).rejects.toMatchObject({ code: "truncated-weights", where: origin });
    }
    send(file.subarray(0, 3_000_000));
    await expect(load()).rejects.toMatchObject({ code: "truncated-weights", where: origin });
    send(Buffer.concat([file, Buffer.alloc(1)]));
    await expect(load()).rejects.toMatchObject({ code: "corrupt-weights", where: origin });
    answer = (_, response) => {
      response.writeHead(200, { "content-length": String(file.length) }).write(file.subarray(0, 100_000));
      setTimeout(() => response.destroy(), 20);
    };
    await expect(load()).rejects.toMatchObject({ code: "weights-unavailable", where: origin });
  });

  test("ends with the signal's reason, before, during and after the answer began", async () => {
    const reason = new Error("the user left");
    await expect(load({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    for (const bytes of [0, 500_000]) {
      let isClosed = false;
      answer = (_, response) => {
        response.on("close", () => {
          isClosed = true;
        });
        if (bytes > 0) response.write(file.subarray(0, bytes));
      };
      const controller = new AbortController();
      const loading = load({ signal: controller.signal });
      setTimeout(() => controller.abort(reason), 30);
      await expect(loading).rejects.toBe(reason);
      await vi.waitFor(() => expect(isClosed).toBe(true));
    }
  });

  test("what onProgress throws ends the loading", async () => {
    send(file);
    const error = new TypeError("no such element");
    const onProgress = () => {
      throw error;
    };
    await expect(load({ onProgress })).rejects.toBe(error);
  });

  test("a server that cannot be reached, or an address that is none, is refused", async () => {
    await expect(load({ weights: "http://127.0.0.1:1/x" })).rejects.toMatchObject({ code: "weights-unavailable" });
    await expect(load({ weights: "weights.bin" })).rejects.toMatchObject({ code: "weights-unavailable" });
  });

  test("a response that was read is refused", async () => {
    const response = new Response(Uint8Array.from(file));
    await response.arrayBuffer();
    await expect(load({ weights: response })).rejects.toMatchObject({ code: "weights-unavailable" });
  });

  describe("with a cache", () => {
    const memory = () => {
      const kept = new Map<string, Uint8Array>();
      return {
        kept,
        get: async (address: string) => kept.get(address),
        set: async (address: string, bytes: Uint8Array) => void kept.set(address, bytes),
      };
    };

    test("fetches once", async () => {
      send(file);
      const cache = memory();
      const before = requests;
      const first = await load({ cache });
      const told: LoadProgress[] = [];
      const second = await load({ cache, onProgress: (progress) => void told.push(progress) });
      expect(requests - before).toBe(1);
      expect(second.embed("red apple")).toEqual(first.embed("red apple"));
      expect(told).toEqual([{ loaded: file.length, total: file.length }]);
      expect([...cache.kept.keys()]).toEqual([origin]);
    });

    test("what is damaged there is fetched again and replaced; what is not weights is not kept", async () => {
      send(file);
      const cache = memory();
      cache.kept.set(origin, file.subarray(0, 100));
      await load({ cache });
      expect(cache.kept.get(origin)).toHaveLength(file.length);
      cache.kept.clear();
      send("<html>");
      await expect(load({ cache })).rejects.toMatchObject({ code: "not-weights" });
      expect(cache.kept.size).toBe(0);
    });

    test("one that fails is the same as none", async () => {
      send(file);
      const fails = () => Promise.reject(new Error("quota"));
      const throws = () => {
        throw new Error("denied");
      };
      for (const cache of [
        { get: fails, set: fails },
        { get: throws, set: throws },
      ]) {
        expect((await load({ cache })).dimensions).toBe(128);
      }
    });

    test("in a browser it is Cache Storage, which keeps the last four; where that is forbidden, nothing", async () => {
      send(file);
      const kept = new Map<string, Response>();
      const storage = {
        match: async (key: string) => kept.get(key)?.clone(),
        put: async (key: string, response: Response) => void kept.set(key, response),
        keys: async () => [...kept.keys()],
        delete: async (key: string) => kept.delete(key),
      };
      vi.stubGlobal("location", { href: "http://127.0.0.1/page" });
      vi.stubGlobal("caches", { open: async () => storage });
      const before = requests;
      for (let i = 0; i < 6; i++) await load({ weights: `${origin}?${i}` });
      await load({ weights: `${origin}?5` });
      expect(requests - before).toBe(6);
      expect([...kept.keys()]).toEqual([2, 3, 4, 5].map((i) => `${origin}?${i}`));
      await load({ weights: `${origin}?5`, cache: false });
      expect(requests - before).toBe(7);
      vi.stubGlobal("caches", undefined);
      Object.defineProperty(globalThis, "caches", {
        configurable: true,
        get() {
          throw new DOMException("sandboxed", "SecurityError");
        },
      });
      expect((await load()).dimensions).toBe(128);
      Reflect.deleteProperty(globalThis, "caches");
      await delay(0);
    });
  });
});
