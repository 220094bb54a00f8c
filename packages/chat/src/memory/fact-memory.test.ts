import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ChatError } from "../base/errors.js";
import { FactMemory } from "./fact-memory.js";
import { decodeFacts, encodeFacts } from "./fact-memory-codec.js";
import { unit } from "./key-rows.js";

const CHANNELS = { question: 24, state: 7 };

function vector(width: number, seed: number): Float32Array {
  let state = seed * 2 + 1;
  return Float32Array.from({ length: width }, () => {
    state = (state * 16_807) % 2_147_483_647;
    return state / 2_147_483_647 - 0.5;
  });
}

const keysOf = (seed: number) => ({ question: vector(24, seed), state: vector(7, seed + 1000) });
const factOf = (seed: number) => ({
  question: `question ${seed} é`,
  answer: `answer ${seed}`,
  isStatement: seed % 2 === 0,
  tokens: Uint32Array.from({ length: seed % 5 }, (_, i) => seed * 10 + i),
  scores: Float32Array.from({ length: seed % 5 }, (_, i) => -seed - i),
});

/** What the memory should hold: whole vectors, compared in float64. */
class Model {
  readonly facts = new Map<number, { readonly seed: number }>();
  next = 1;
}

describe("a memory of facts beside a slow one", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("add" as const), seed: fc.integer({ min: 1, max: 500 }) }),
    fc.record({ do: fc.constant("remove" as const), seed: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ do: fc.constant("refuse" as const), seed: fc.integer({ min: 1, max: 500 }) }),
    fc.record({ do: fc.constant("reload" as const), seed: fc.constant(0) }),
  );

  test("any sequence of calls, saved and loaded in between", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let memory = new FactMemory(CHANNELS);
        const model = new Model();
        for (const { do: kind, seed } of steps) {
          if (kind === "add") {
            expect(memory.add(factOf(seed), keysOf(seed)).id).toBe(model.next);
            model.facts.set(model.next++, { seed });
          } else if (kind === "remove") {
            expect(memory.remove(seed)).toBe(model.facts.delete(seed));
          } else if (kind === "refuse") {
            const before = encodeFacts(memory);
            expect(() => memory.add(factOf(seed), { question: vector(24, 1), state: vector(6, 1) })).toThrow(ChatError);
            expect(encodeFacts(memory)).toEqual(before);
          } else memory = decodeFacts(encodeFacts(memory), CHANNELS);
          expectSame(memory, model);
        }
      }),
      { numRuns: 60 },
    );
  });

  function expectSame(memory: FactMemory, model: Model): void {
    expect(memory.next).toBe(model.next);
    expect(memory.facts.map(({ id }) => id).sort((a, b) => a - b)).toEqual([...model.facts.keys()]);
    const query = unit(vector(24, 77));
    const cosines = memory.cosines("question", query);
    for (const [i, { id, ...fact }] of memory.facts.entries()) {
      const { seed } = model.facts.get(id)!;
      expect(fact).toEqual(factOf(seed));
      const key = unit(vector(24, seed));
      const exact = key.reduce((sum, value, at) => sum + value * query[at]!, 0);
      expect(Math.abs(cosines[i]! - exact)).toBeLessThan(0.01);
    }
  }

  test("nothing of what was forgotten is in the bytes", () => {
    const memory = new FactMemory(CHANNELS);
    for (const seed of [3, 4, 5]) memory.add(factOf(seed), keysOf(seed));
    const without = new FactMemory(CHANNELS);
    without.add(factOf(3), keysOf(3));
    without.add(factOf(5), keysOf(5), 3);
    const [, secret] = memory.facts;
    memory.remove(secret!.id);
    expect(encodeFacts(memory)).toEqual(encodeFacts(without));
  });

  test("broken bytes are refused by a typed error, and so are those of another embedder", () => {
    const memory = new FactMemory(CHANNELS);
    for (const seed of [3, 4, 5, 8]) memory.add(factOf(seed), keysOf(seed));
    const bytes = encodeFacts(memory);
    const codeOf = (file: Uint8Array, channels: Readonly<Record<string, number>> = CHANNELS) => {
      try {
        decodeFacts(file, channels);
        return undefined;
      } catch (error) {
        if (error instanceof ChatError) return error.code;
        throw error;
      }
    };
    for (let length = 0; length < bytes.length; length++)
      expect(codeOf(bytes.subarray(0, length))).toBe("corrupt-state");
    expect(codeOf(bytes, { question: 25, state: 7 })).toBe("wrong-model");
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        codeOf(Uint8Array.from(bytes, (byte, i) => (i === at ? value : byte)));
      }),
      { numRuns: 500 },
    );
  });
});
