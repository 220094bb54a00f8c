import { expect, test } from "vitest";
import { exp, log, log1p } from "./exact-math.js";
import { uniformFrom } from "./samples.test-support.js";

/** Distance in units of the last place of float64. */
const apart = (value: number, wanted: number) => Math.abs(value / wanted - 1) / Number.EPSILON;

test("exp and log are those of the engine to the last digit or two", () => {
  const uniform = uniformFrom(3);
  const worst = { exp: 0, log: 0, log1p: 0 };
  for (let k = 0; k < 100_000; k++) {
    const x = (uniform() - 0.5) * 1400;
    worst.exp = Math.max(worst.exp, apart(exp(x), Math.exp(x)));
    const y = k % 2 === 0 ? Math.exp(x) : 1 + (uniform() - 0.5) / 100;
    worst.log = Math.max(worst.log, apart(log(y), Math.log(y)));
    const z = Math.exp(-60 * uniform());
    worst.log1p = Math.max(worst.log1p, apart(log1p(z), Math.log1p(z)));
  }
  expect(worst.exp).toBeLessThanOrEqual(2);
  expect(worst.log).toBeLessThanOrEqual(2);
  expect(worst.log1p).toBeLessThanOrEqual(3);
});

test("at the ends", () => {
  expect([exp(0), exp(-1e9), exp(1e9), exp(Number.NEGATIVE_INFINITY), exp(Number.NaN)]).toEqual([
    1,
    0,
    Number.POSITIVE_INFINITY,
    0,
    Number.NaN,
  ]);
  expect([log(1), log(0), log(Number.POSITIVE_INFINITY), log(-1), log1p(0)]).toEqual([
    0,
    Number.NEGATIVE_INFINITY,
    Number.POSITIVE_INFINITY,
    Number.NaN,
    0,
  ]);
});

test("the bits stay what they are", () => {
  const bits = new Uint8Array(
    Float64Array.from([exp(-0.1), exp(-28.7), exp(3.3), log(3), log1p(1e-9), log(0.7)]).buffer,
  );
  expect(Buffer.from(bits).toString("hex")).toMatchInlineSnapshot(
    `"3a2bd5996df4ec3f0ee9a0a86729583d7b7b80e7d51c3b400a03ad7aea93f13fdaf101e80b2e113e503fe124c3d3d6bf"`,
  );
});
