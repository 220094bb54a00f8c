import fc from "fast-check";
import { expect, test } from "vitest";
import { parseStrictJson } from "./strict-json.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const parse = (text: string) => parseStrictJson(bytes(text));

test("what JSON.stringify wrote is read as JSON.parse reads it", () => {
  const value = fc.jsonValue({ maxDepth: 6 });
  fc.assert(
    fc.property(value, (each) => {
      const text = JSON.stringify(each);
      fc.pre(!text.includes("__proto__"));
      expect(parse(text)).toEqual(JSON.parse(text));
      expect(parse(JSON.stringify(each, null, 2))).toEqual(JSON.parse(text));
    }),
  );
});

test.each([
  ["a key twice", '{"a":1,"b":{"a":2},"a":3}'],
  ["a key twice, once with an escape", '{"a":1,"\\u0061":3}'],
  ["a key twice behind a string with braces", '{"x":"}{\\"","a":1,"a":2}'],
  ["a key twice in an object of a list", '[{"a":1},{"b":1,"b":2}]'],
  ["__proto__", '{"__proto__":{"admin":true}}'],
  ["__proto__ with an escape", '{"\\u005f_proto__":1}'],
  ["infinity", '{"a":1e999}'],
  ["minus infinity", "[-1E400]"],
  ["a number of 400 digits", `[${"9".repeat(400)}]`],
  ["200,000 lists within each other", "[".repeat(200_000) + "]".repeat(200_000)],
  ["200,000 objects within each other", '{"a":'.repeat(200_000)],
  ["33 lists within each other", "[".repeat(33) + "]".repeat(33)],
  ["half of a surrogate pair", '["\\ud800"]'],
  ["half of a surrogate pair in a key", '{"\\udc00x":1}'],
  ["no JSON", "{'a':1}"],
  ["a cut text", '{"a":"b'],
  ["nothing", ""],
  ["two values", "{} {}"],
])("refuses %s", (_, text) => {
  expect(() => parse(text)).toThrow(expect.objectContaining({ code: "invalid-body" }));
});

test("refuses bytes that are not UTF-8", () => {
  expect(() => parseStrictJson(new Uint8Array([0x22, 0xff, 0x22]))).toThrow(/UTF-8/);
});

test("takes what looks alike and is right", () => {
  const text = '{"a":"\\ud83d\\ude00","b":[{"a":1},{"a":2}],"c":"a\\\\","d":{"a":1e308},"e":"{\\"a\\":1,\\"a\\":2}"}';
  expect(parse(text)).toEqual(JSON.parse(text));
  expect(parse("[".repeat(32) + "]".repeat(32))).toBeInstanceOf(Array);
});

test("a text that is not JSON is refused, never something else", () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), (text, at) => {
      const whole = `{"a":[1,"b",{"c":null}]}`;
      const broken = whole.slice(0, at % whole.length) + text + whole.slice(at % whole.length);
      try {
        JSON.parse(broken);
      } catch {
        expect(() => parse(broken)).toThrow(expect.objectContaining({ code: "invalid-body" }));
      }
    }),
  );
});
