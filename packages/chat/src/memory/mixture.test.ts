import fc from "fast-check";
import { expect, test } from "vitest";
import { Mixture } from "./mixture.js";

const VOCABULARY = 4;

/** A model of four tokens whose probabilities depend on the token before. */
function modelAt(before: number): Float64Array {
  const raw = Float64Array.from({ length: VOCABULARY }, (_, token) => 1 + ((before * 3 + token * 5) % 7));
  const total = raw.reduce((sum, value) => sum + value, 0);
  return raw.map((value) => value / total);
}

const sequence = fc.array(fc.nat(VOCABULARY - 1), { minLength: 1, maxLength: 4 });

test("token by token, a sequence has the probability of the mixture of whole answers", () => {
  fc.assert(
    fc.property(fc.array(sequence, { minLength: 1, maxLength: 3 }), sequence, (facts, answer) => {
      const prior = 0.6 / facts.length;
      const mixture = new Mixture(facts.map((tokens) => ({ tokens: Uint32Array.from(tokens), prior })));
      let [product, own, before] = [1, 1, 0];
      for (const token of answer) {
        const probabilities = modelAt(before);
        const mixed = probabilities.slice();
        mixture.mix(mixed);
        expect(mixed[token]!).toBeCloseTo(mixture.probabilityOf(token, probabilities[token]!), 12);
        product *= mixed[token]!;
        own *= probabilities[token]!;
        mixture.accept(token, probabilities[token]!);
        before = token;
      }
      const told = facts.filter((fact) => answer.every((token, i) => fact[i] === token)).length;
      expect(product).toBeCloseTo(0.4 * own + prior * told, 12);
    }),
  );
});

test("without facts the model is as it was", () => {
  const mixture = new Mixture([]);
  const probabilities = modelAt(2);
  mixture.mix(probabilities);
  expect(probabilities).toEqual(modelAt(2));
  expect(mixture.isOver).toBe(true);
});
