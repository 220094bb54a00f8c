import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Ort } from "@microlora/onnx";
import * as web from "onnxruntime-web";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Chat } from "./chat.js";
import { openChat } from "./open.js";

web.env.wasm.numThreads = 1;
const ort: Ort = web;
const gguf = readFileSync(fileURLToPath(new URL("../../onnx/fixtures/gguf/llama.gguf", import.meta.url)));

let chat: Chat;
beforeAll(async () => {
  chat = await openChat(gguf, { ort });
}, 60_000);
afterAll(() => chat.close());

const SHORT = { maxTokens: 12 };

describe("users of one model, a tiny one with random weights", () => {
  test("an answer that was taught comes word for word, to its user only", async () => {
    const [anna, bob] = await Promise.all([chat.user("anna"), chat.user("bob")]);
    const before = await bob.answer("What is the sea?", SHORT);
    await anna.teach("What is the sea?", "It is on the rain.");
    expect(await anna.answer("What is the sea?", SHORT)).toBe("It is on the rain.");
    expect(await bob.answer("What is the sea?", SHORT)).toBe(before);
  });

  test("what is told anew replaces what was told, and what is forgotten is gone", async () => {
    const user = await chat.user("carl");
    const own = await user.score("Where is it?", "It is in the sea.");
    await user.teach("Where is it?", "It is in the sea.");
    const { replaced } = await user.teach("Where is it?", "It is in the rain.");
    expect(replaced.map(({ answer }) => answer)).toEqual(["It is in the sea."]);
    expect(await user.answer("Where is it?", SHORT)).toBe("It is in the rain.");
    const told = await user.score("Where is it?", "It is in the rain.");
    expect(sum(told)).toBeGreaterThan(-1);
    await user.forget({ about: "rain" });
    expect(user.facts).toEqual([]);
    expect(sum(await user.score("Where is it?", "It is in the sea."))).toBeCloseTo(sum(own), 4);
    expect(new TextDecoder().decode(user.toBytes())).not.toContain("rain");
  });

  test("texts are the same together as alone, at any temperature", async () => {
    const users = await Promise.all(["d", "e", "f"].map((id) => chat.user(id)));
    await users[0]!.teach("Who is it?", "It is the hen.");
    const asks = users.flatMap((user, i) =>
      ["Who is it?", "What is in the rain and on the sea?"].map((text, j) => ({
        user,
        text,
        options: { maxTokens: 4 + 3 * i + j, temperature: j, seed: i, topP: 0.9, repetitionPenalty: 1.1 },
      })),
    );
    const alone: string[] = [];
    for (const { user, text, options } of asks) alone.push(await user.answer(text, options));
    const together = await Promise.all(asks.map(({ user, text, options }) => user.answer(text, options)));
    expect(together).toEqual(alone);
  });

  test("pieces make the whole, up to a stop string", async () => {
    const user = await chat.user("g");
    await user.teach("What is it?", "It is in the sea and on the rain.");
    const pieces: string[] = [];
    for await (const piece of user.say("What is it?", { stop: [" and"] })) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join("")).toBe("It is in the sea");
  });

  test("a user is restored from a store; a store that is full stops nothing", async () => {
    const store = new Map<string, Uint8Array>();
    const user = await chat.user("h", { store });
    await user.teach("Is it on?", "It is on.");
    chat.leave("h");
    const again = await chat.user("h", { store });
    expect(await again.answer("Is it on?", SHORT)).toBe("It is on.");
    expect(again.toBytes()).toEqual(store.get("h"));
    const full = {
      get: () => undefined,
      set: () => {
        throw new Error("quota");
      },
    };
    const other = await chat.user("i", { store: full });
    await other.teach("Is it on?", "It is on.");
    expect(other.unsaved).toMatchObject({ message: "quota" });
    expect(await other.answer("Is it on?", SHORT)).toBe("It is on.");
  });

  test("an answer can be stopped, and others go on", async () => {
    const [user, other] = await Promise.all([chat.user("j"), chat.user("k")]);
    const controller = new AbortController();
    const stopped = user.answer("What is it?", { maxTokens: 40, signal: controller.signal });
    const going = other.answer("What is it?", SHORT);
    controller.abort();
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
    expect((await going).length).toBeGreaterThan(0);
  });

  test.each<readonly [string, string, () => Promise<unknown>]>([
    ["an empty question", "invalid-option", async () => (await chat.user("l")).answer(" ")],
    ["no text", "not-a-string", async () => (await chat.user("l")).teach("What?", 5 as unknown as string)],
    ["a negative temperature", "invalid-option", async () => (await chat.user("l")).answer("a", { temperature: -1 })],
    ["no tokens", "invalid-option", async () => (await chat.user("l")).answer("a", { maxTokens: 0 })],
    [
      "a history of no messages",
      "invalid-option",
      async () => (await chat.user("l")).answer("a", { history: ["x"] as never }),
    ],
    ["a nameless user", "invalid-option", () => chat.user("")],
    ["a sleep without facts", "invalid-option", async () => (await chat.user("m")).sleep()],
    ["a correction of nothing", "unknown-fact", async () => (await chat.user("m")).correct("a", "b")],
    ["no model", "unsupported-model", () => openChat("http://127.0.0.1:1/model.gguf", { ort })],
  ])("%s is refused", async (_, code, call) => {
    await expect(call()).rejects.toMatchObject({ code });
  });
});

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
