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
const SHORT = { maxTokens: 12 };
const LONG = { maxTokens: 24 };
const QUICK = { passes: 2, limit: 100 };

let chat: Chat;
beforeAll(async () => {
  chat = await openChat(gguf, { ort });
}, 60_000);
afterAll(() => chat.close());

describe("the state of a user of a tiny model with random weights", () => {
  test("saves are in the order of the changes, with a slow store", async () => {
    const saved: number[] = [];
    const store = {
      get: () => undefined,
      set: async (_: string, bytes: Uint8Array) => {
        await new Promise((resolve) => setTimeout(resolve, saved.length === 0 ? 30 : 0));
        saved.push(bytes.length);
      },
    };
    const user = await chat.user("order", { store });
    await Promise.all([user.teach("Is it on?", "It is on."), user.teach("Who is it?", "It is the hen.")]);
    expect(saved).toEqual([...saved].sort((a, b) => a - b));
    expect(saved.at(-1)).toBe(user.toBytes().length);
  });

  test("facts that are forgotten while a question is read do not answer it", async () => {
    const user = await chat.user("meanwhile");
    const own = await user.answer("Who is it?", SHORT);
    for (const [question, answer] of FACTS) await user.teach(question, answer);
    const asked = user.answer("Who is it?", SHORT);
    await user.forget({ about: "it" });
    expect(user.facts).toEqual([]);
    expect(await asked).toBe(own);
  });

  test("a loop that ends early ends the answer", async () => {
    const user = await chat.user("early");
    const own = await user.answer("Is it on?", SHORT);
    for await (const piece of user.say("What is it?", { maxTokens: 1_000_000 })) {
      expect(piece).not.toBe("");
      break;
    }
    expect(await user.answer("Is it on?", SHORT)).toBe(own);
  });

  test("an answer ends where the model can read no more, and nobody else's answer fails", async () => {
    const [long, other] = await Promise.all([chat.user("long"), chat.user("other")]);
    const own = await other.answer("Is it on?", SHORT);
    const [, answer] = await Promise.all([
      long.answer("What is it?", { maxTokens: 1_000_000 }),
      other.answer("Is it on?", SHORT),
    ]);
    expect(answer).toBe(own);
    await expect(long.answer("rain ".repeat(1000))).rejects.toMatchObject({ code: "text-too-long" });
  });

  test("a correction finds the question of the answer that it is about", async () => {
    const user = await chat.user("corrected");
    await user.teach("Who is it?", "It is the hen.");
    const first = await user.answer("Who is it?", SHORT);
    await user.answer("What is in the rain and on the sea?", SHORT);
    await user.correct(first, "No, it is the sea.");
    expect(user.facts).toMatchObject([{ question: "Who is it?", answer: "It is the sea." }]);
    expect(await user.answer("Who is it?", SHORT)).toBe("It is the sea.");
  });

  test("sleep and thumbs make an adapter that is saved with the facts, and goes with a fact that it learned", async () => {
    const store = new Map<string, Uint8Array>();
    const user = await chat.user("sleeper", { store });
    for (const [question, answer] of FACTS) await user.teach(question, answer);
    const before = await user.score("Where is it?", "It is in the sea.", { told: false });
    const report = await user.sleep(QUICK);
    expect(report.isKept).toBe(true);
    const after = await user.score("Where is it?", "It is in the sea.", { told: false });
    expect(sum(after)).toBeGreaterThan(sum(before));
    const answer = await user.answer("What is the sea?", { ...SHORT, system: "rain" });
    await user.rate(answer, "down", QUICK);

    chat.leave("sleeper");
    const again = await chat.user("sleeper", { store });
    expect(Buffer.compare(again.toBytes(), store.get("sleeper")!)).toBe(0);
    expect(await again.score("Where is it?", "It is in the sea.")).toEqual(
      await user.score("Where is it?", "It is in the sea."),
    );
    await again.forget({ about: "sea" });
    expect(again.adapter === null).toBe(true);
    expect(await again.score("Where is it?", "It is in the sea.", { told: false })).toEqual(before);
  }, 200_000);

  test("an adapter that harms unrelated answers is not taken", async () => {
    const user = await chat.user("guarded");
    await user.teach("Who is it?", "It is the hen.");
    const { isKept, unrelated } = await user.sleep({ passes: 6, learningRate: 0.5, hold: 0, limit: 0 });
    expect(unrelated).toBeLessThan(0);
    expect(isKept).toBe(false);
    expect(user.adapter === null).toBe(true);
  }, 200_000);

  test("broken states are refused by a typed error", async () => {
    const user = await chat.user("broken");
    await user.teach("Who is it?", "It is the hen.");
    const bytes = user.toBytes();
    const codeOf = async (file: Uint8Array, id: string) => {
      const opened = chat.user(id, { store: { get: () => file, set: () => undefined } });
      return opened.then(
        () => undefined,
        ({ code }) => code,
      );
    };
    for (let length = 0; length < bytes.length; length += 13) {
      expect(await codeOf(bytes.subarray(0, length), `cut ${length}`)).toBe("corrupt-state");
    }
    const named = bytes.slice();
    named[4] = 8;
    expect(await codeOf(named, "lengths")).toBe("corrupt-state");
  });
});

/** 40 requests by default; MICROLORA_MIXED_REQUESTS=100000 for the long run. */
test("mixed requests of many users: nobody sees another one's fact; company and restarts change nothing", async () => {
  const requests = Number(process.env.MICROLORA_MIXED_REQUESTS ?? 40);
  const places = ["sea", "rain", "hen"];
  const begins = ["It is on the", "It is in the", "The hen is in the"];
  const stores = places.map(() => new Map<string, Uint8Array>());
  const told: (string | undefined)[] = places.map(() => undefined);
  const own = await (await chat.user("nothing told")).answer("Where is it?", LONG);
  const expected = places.map(() => own);
  let [leaks, wrong] = [0, 0];
  for (let i = 0; i < requests; i++) {
    const random = Math.imul(i + 1, 0x9e3779b1) >>> 0;
    const u = random % places.length;
    const user = await chat.user(`mixed ${u}`, { store: stores[u]! });
    const kind = (random >>> 8) % 8;
    if (kind === 0) {
      told[u] = `${begins[u]} ${places[(random >>> 12) % places.length]}.`;
      await user.teach("Where is it?", told[u]!);
      expected[u] = await user.answer("Where is it?", LONG);
    } else if (kind === 1) {
      await user.forget({ about: "it" });
      told[u] = undefined;
      expected[u] = own;
    } else if (kind === 2) chat.leave(`mixed ${u}`);
    else {
      const all = await Promise.all(
        places.map(async (_, j) => (await chat.user(`mixed ${j}`, { store: stores[j]! })).answer("Where is it?", LONG)),
      );
      for (const [j, answer] of all.entries()) {
        if (answer !== expected[j]) wrong += 1;
        if (told.some((other, k) => k !== j && other !== undefined && answer.includes(other))) leaks += 1;
      }
    }
  }
  expect({ leaks, wrong }).toEqual({ leaks: 0, wrong: 0 });
}, 100_000_000);

const FACTS = [
  ["Is it on?", "It is on."],
  ["Where is it?", "It is in the sea."],
] as const;

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
