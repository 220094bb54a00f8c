import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FormatErrorCode } from "../base/errors.js";
import { expectFormatError } from "../base/refusals.test-support.js";
import { READERS as FORMATS } from "../formats/formats.js";
import { writeGguf } from "../gguf/write-container.js";
import { writeOnnxAdapter } from "../onnx-adapter/container.js";
import { CONFIG_FILE, WEIGHTS_FILE } from "../peft/config.js";
import { decodePeft } from "../peft/decode.js";
import { encodeSafetensors } from "../safetensors/safetensors.js";
import { counted } from "./counted.test-support.js";
import { READERS } from "./readers.test-support.js";

const FIXTURES = join(import.meta.dirname, "..", "..", "attacks", "fixtures");
const file = (...path: readonly string[]) => new Uint8Array(readFileSync(join(FIXTURES, ...path)));
/** What each file has to be refused with; null for the sound one of each format that the others are made from. */
const EXPECTED: Readonly<Record<string, FormatErrorCode | null>> = JSON.parse(
  readFileSync(join(FIXTURES, "expected.json"), "utf8"),
);

/** Bytes that a reader may take for each byte of a file, and beside that for every file. */
const FACTOR = 64;
const FIXED = 4096;

/** The reading of a hostile file, and its size. */
function attack(path: string): { readonly read: () => unknown; readonly size: number } {
  const [format] = path.split("/") as [keyof typeof FORMATS | "peft"];
  if (format === "peft") {
    const [config, weights] = [file(path, CONFIG_FILE), file(path, WEIGHTS_FILE)];
    return { read: () => decodePeft({ config, weights }), size: config.length + weights.length };
  }
  const bytes = file(path);
  return { read: () => FORMATS[format].decode(bytes), size: bytes.length };
}

test("the table names every file of attacks/", () => {
  const found = readdirSync(FIXTURES).flatMap((format) =>
    statSync(join(FIXTURES, format)).isDirectory()
      ? readdirSync(join(FIXTURES, format)).map((name) => `${format}/${name}`)
      : [],
  );
  expect(found.sort()).toEqual(Object.keys(EXPECTED).sort());
});

const HOSTILE = Object.entries(EXPECTED).flatMap(([path, code]) => (code === null ? [] : [[path, code] as const]));

test("what the hostile files are made from is sound", () => {
  const sound = Object.keys(EXPECTED).filter((path) => EXPECTED[path] === null);
  expect(sound).toHaveLength(6);
  for (const path of sound) expect(attack(path).read(), path).toMatchObject({ targets: [{ rank: 2 }] });
});

test.each(HOSTILE)("%s is refused as %s, with work bounded by its size", (path, code) => {
  const { read, size } = attack(path);
  const { error, allocated, read: readings } = counted(read);
  expectFormatError(error, code);
  expect((error as Error).message.length).toBeLessThan(1000);
  expect(allocated, "bytes allocated").toBeLessThan(FACTOR * size + FIXED);
  expect(readings, "readings").toBeLessThan(FACTOR * size + FIXED);
});

/** Files of so many tensors of one number each, too large to keep. */
const ONE = new Uint8Array(4);
const MANY: Readonly<Record<string, (count: number) => Uint8Array>> = {
  gguf(count) {
    const tensors = Array.from({ length: count }, (_, i) => ({
      name: `t${i}`,
      shape: [1],
      type: "F32" as const,
      data: ONE,
    }));
    const texts = { "general.type": "adapter", "adapter.type": "lora", "general.architecture": "qwen2" };
    const entries = Object.entries(texts).map(([key, value]) => [key, { type: "STRING" as const, value }] as const);
    return writeGguf(new Map(entries), tensors);
  },
  onnx_adapter(count) {
    const tensor = { dtype: "F32", shape: [1], data: ONE } as const;
    const parameters = new Map(Array.from({ length: count }, (_, i) => [`t${i}`, tensor]));
    return writeOnnxAdapter({ adapterVersion: 1, modelVersion: 1, parameters });
  },
  safetensors(count) {
    const tensor = { dtype: "F32", shape: [1], data: ONE } as const;
    const tensors = new Map(Array.from({ length: count }, (_, i) => [`t${i}`, tensor]));
    return encodeSafetensors({ metadata: new Map(), tensors });
  },
};

test.each(Object.keys(MANY))(
  "%s: work grows no faster than a header of a million tensors",
  { timeout: 600_000 },
  (name) => {
    for (const count of [1000, 1_000_000]) {
      const bytes = MANY[name]!(count);
      const { error, allocated, read: readings } = counted(() => READERS[name]!.read(bytes));
      expect(error).toMatchObject({
        name: "FormatError",
        code: expect.stringMatching(/^(unexpected-tensor|missing-tensor|bad-name|bad-config)$/),
      });
      expect(allocated).toBeLessThan(FACTOR * bytes.length + FIXED);
      expect(readings).toBeLessThan(FACTOR * bytes.length + FIXED);
    }
  },
);

describe.each(Object.keys(READERS))("%s", (name) => {
  const { read, good } = READERS[name]!;

  test("good files take no more than hostile ones may", () => {
    for (const bytes of good()) read(bytes);
    for (const bytes of good()) {
      const { error, allocated, read: readings } = counted(() => read(bytes));
      expect(error).toBeUndefined();
      expect(allocated).toBeLessThan(FACTOR * bytes.length + FIXED);
      expect(readings).toBeLessThan(FACTOR * bytes.length + FIXED);
    }
  });

  test("cut off anywhere but in its padding, a file is refused", () => {
    for (const bytes of good()) {
      const step = Math.max(1, Math.floor(bytes.length / 3000));
      for (let length = 0; length < bytes.length; length += step) {
        const { error } = counted(() => read(bytes.subarray(0, length)));
        if (error === undefined) expect(read(bytes.subarray(0, length))).toEqual(read(bytes));
        else expect(error).toMatchObject({ code: expect.any(String), where: expect.any(String) });
      }
    }
  });
});

test.each(Object.keys(FORMATS) as (keyof typeof FORMATS)[])("%s: what is no Uint8Array is refused by name", (name) => {
  for (const wrong of [new ArrayBuffer(64), "text", undefined, [1, 2, 3]]) {
    const { error } = counted(() => FORMATS[name].decode(wrong as never));
    const { code, message } = error as { readonly code: string; readonly message: string };
    expect(["invalid-argument", "not-a-checkpoint"]).toContain(code);
    expect(message).toContain("Uint8Array");
  }
});

test("nothing that a file says reaches the prototypes of objects", () => {
  expect(({} as { lora_alpha?: unknown }).lora_alpha).toBeUndefined();
  expect(Object.keys(Object.prototype)).toEqual([]);
});
