import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OnnxError } from "../base/errors.js";
import { memorySource } from "../graph/serde/source.js";
import { filesOfGguf } from "./files.js";
import { readGguf } from "./read.js";

const bytes = readFileSync(join(import.meta.dirname, "../../fixtures/gguf/gemma2.gguf"));
const open = (file: Uint8Array) => filesOfGguf(memorySource(file), {}, { isWasm: false, freeMemory: () => 0 });

/** The code of the refusal; undefined if there is none. Anything but an OnnxError is thrown on. */
function codeOf(file: Uint8Array): string | undefined {
  try {
    open(file);
    return undefined;
  } catch (error) {
    if (error instanceof OnnxError) return error.code;
    throw error;
  }
}

describe("GGUF files", () => {
  test("say what they are", () => {
    const { metadata, tensors } = readGguf(memorySource(bytes));
    expect(metadata.text("general.architecture")).toBe("gemma2");
    expect(metadata.number("gemma2.block_count")).toBe(2);
    expect(metadata.texts("tokenizer.ggml.tokens")?.slice(0, 3)).toEqual([
      "<|endoftext|>",
      "<|im_start|>",
      "<|im_end|>",
    ]);
    expect(metadata.numbers("tokenizer.ggml.scores")?.length).toBe(288);
    expect(metadata.numbers("tokenizer.ggml.tokens")).toBeUndefined();
    expect(metadata.flag("tokenizer.ggml.add_space_prefix")).toBe(false);
    expect(tensors.get("blk.0.attn_k.weight")).toMatchObject({ dims: [32, 64], type: "MXFP4" });
  });

  test("that end early are refused", () => {
    for (let length = 0; length < bytes.length; length += 97) {
      expect(codeOf(bytes.subarray(0, length)), `${length} bytes`).toMatch(/truncated|invalid-gguf/);
    }
  });

  test("with any byte changed open, or are refused by a typed error", () => {
    const changed = fc.tuple(fc.nat(12_000), fc.nat(255));
    fc.assert(
      fc.property(fc.array(changed, { minLength: 1, maxLength: 4 }), (changes) => {
        const file = Uint8Array.from(bytes);
        for (const [at, value] of changes) file[at] = value;
        codeOf(file);
      }),
      { numRuns: 300 },
    );
  });

  const patched = (text: string, replacement: string) => {
    const file = Buffer.from(bytes);
    file.write(replacement, file.indexOf(text), "latin1");
    return file;
  };

  test.each<readonly [string, string, Uint8Array]>([
    ["of another architecture", "unsupported-architecture", patched("gemma2", "mamba2")],
    ["of another format", "invalid-gguf", patched("GGUF", "GGML")],
    ["without a tensor", "invalid-gguf", patched("blk.1.ffn_up", "blk.9.ffn_up")],
    ["of a version that is not known", "invalid-gguf", Uint8Array.from(bytes, (byte, i) => (i === 4 ? 9 : byte))],
  ])("%s are refused", (_, code, file) => expect(codeOf(file)).toBe(code));

  test("with weights that are not finite are refused", () => {
    const { tensors } = readGguf(memorySource(bytes));
    const file = Uint8Array.from(bytes);
    file.set([0xff, 0x7f], tensors.get("blk.0.attn_q.weight")!.offset);
    expect(codeOf(file)).toBe("not-finite");
  });
});
