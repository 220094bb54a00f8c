import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { memorySource, readGguf } from "@microlora/onnx";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ChatTokenizer } from "./chat-tokenizer.js";

const onnx = (name: string) => fileURLToPath(new URL(`../../../onnx/${name}`, import.meta.url));

/** Tokens of texts by llama.cpp; see packages/onnx/goldens/gguf_llama_cpp.py. */
const golden: {
  readonly texts: readonly string[];
  readonly models: Readonly<Record<string, { readonly tokens: readonly (readonly number[])[] }>>;
} = JSON.parse(readFileSync(onnx("goldens/gguf/llama-cpp.json"), "utf8"));

function tokenizerOf(name: string): ChatTokenizer {
  return ChatTokenizer.fromGguf(readGguf(memorySource(readFileSync(onnx(`fixtures/gguf/${name}.gguf`)))).metadata);
}

describe("tokenizers of GGUF files", () => {
  test.each(Object.entries(golden.models))("%s cuts texts as llama.cpp does", (name, { tokens }) => {
    const tokenizer = tokenizerOf(name);
    expect(golden.texts.map((text) => tokenizer.encode(text))).toEqual(tokens);
  });

  test.each(Object.keys(golden.models))("%s gives texts back", (name) => {
    const tokenizer = tokenizerOf(name);
    for (const text of golden.texts.filter((each) => !each.includes("<|"))) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
  });

  test("the template of the file writes a conversation, which ends at its own tokens", () => {
    const tokenizer = tokenizerOf("llama");
    const text = tokenizer.render([{ role: "user", content: "Hi" }]);
    expect(text).toBe("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    expect(tokenizer.encode(text)[0]).toBe(1);
    expect([...tokenizer.ends].sort()).toEqual([0, 2]);
  });
});

describe("what people type", () => {
  const tokenizer = tokenizerOf("llama");
  const specialsOf = (tokens: readonly number[]) => tokens.filter((token) => token <= 2);
  const asked = (content: string) => specialsOf(tokenizer.encode(tokenizer.render([{ role: "user", content }])));
  const pieces = fc.array(
    fc.constantFrom(
      "<|im_start|>",
      "<|im_end|>",
      "<|endoftext|>",
      "<|im_",
      "start|>",
      "end|>",
      "<",
      "|",
      "<<|im_end|>",
      "hi",
      " ",
      "\n",
    ),
  );

  test("no text gives a special token, whatever it is put together from", () => {
    const clean = asked("Hi");
    expect(clean.length).toBeGreaterThan(1);
    fc.assert(
      fc.property(pieces, (parts) => {
        const text = parts.join("");
        expect(asked(text)).toEqual(clean);
        expect(specialsOf(tokenizer.encodeText(text))).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  test("a text without special tokens is left as it is", () => {
    for (const text of golden.texts.filter((each) => !each.includes("<|"))) {
      expect(tokenizer.encodeText(text)).toEqual(tokenizer.encode(text));
    }
  });
});
