import fc from "fast-check";
import { expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { patternLookup } from "./patterns.js";

const isMatch = (pattern: string, path: string) => patternLookup(new Map([[pattern, 1]]), "here").find(path) === 1;

/** Patterns that JavaScript and Python read alike, and that no backtracking takes long over. */
const pattern = fc.letrec((tie) => ({
  atom: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    fc.constantFrom(
      "a",
      "b",
      "q_proj",
      ".",
      "\\.",
      "\\d",
      "\\w",
      "[ab]",
      "[^a.]",
      "[a-c0-9_]",
      "\\W",
      "^",
      "$",
      "\\b",
      "x{2}",
    ),
    fc.tuple(tie("node")).map(([node]) => `(${node})`),
    fc.tuple(tie("node")).map(([node]) => `(?:${node})`),
  ),
  repeated: fc
    .tuple(tie("atom"), fc.constantFrom("", "", "*", "+", "?", "*?", "{1,2}", "{0}", "{2,}"))
    .map(([atom, times]) => (/^(?:\^|\$|\\b|x\{2\})$/.test(String(atom)) ? String(atom) : `${atom}${times}`)),
  node: fc.oneof(
    fc.array(tie("repeated"), { minLength: 1, maxLength: 3 }).map((parts) => parts.join("")),
    fc.tuple(tie("repeated"), tie("repeated")).map(([a, b]) => `${a}|${b}`),
  ),
})).node as fc.Arbitrary<string>;

test("patterns match what regular expressions match", () => {
  // Short, since the regular expressions that are held against take time exponential in the path.
  const path = fc
    .array(fc.constantFrom("a", "b", "c", ".", "0", "_", "q", "x"), { maxLength: 6 })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(pattern, path, (source, text) => {
      expect(isMatch(source, text), `${source} on ${text}`).toBe(new RegExp(`^(?:.*\\.)?(?:${source})$`).test(text));
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ["q_proj", "model.layers.0.q_proj", true],
  ["q_proj", "model.layers.0.xq_proj", false],
  ["layers.0.q_proj", "layersx0.q_proj", true],
  ["^q_proj", "a.q_proj", false],
  ["^model\\.layers\\.\\d+\\.(q|v)_proj$", "model.layers.12.v_proj", true],
  ["layers\\.(?P<layer>[0-3])\\..*", "model.layers.3.mlp.up", true],
  ["(q|k|v)_proj", "a.k_proj", true],
  ["[]x]", "a.]", true],
  ["a{,2}", "aa", true],
  ["\\u{1F600}", "u", false],
])("%s on %s: %s", (source, path, expected) => {
  if (source.startsWith("\\u")) expectRefusal(() => isMatch(source, path), "bad-config", "here");
  else expect(isMatch(source, path)).toBe(expected);
});

test.each([
  "(",
  ")",
  "a)",
  "[",
  "[b-a]",
  "*",
  "a**",
  "a{3,2}",
  "a++",
  "(?=a)",
  "(?i)a",
  "(a)\\1",
  "\\",
  "(?P<n",
  "a{6000}",
])("%s is refused", (source) => expectRefusal(() => isMatch(source, "a"), "bad-config", "here"));

test("patterns that act on nothing are known, and the first that matches counts", () => {
  const lookup = patternLookup(
    new Map([
      ["q_proj", 1],
      ["layers.0.q_proj", 2],
      ["nothing", 3],
    ]),
    "here",
  );
  expect(["layers.0.q_proj", "layers.1.q_proj", "k"].map(lookup.find)).toEqual([1, 1, undefined]);
  expect(lookup.unmatched()).toEqual(["layers.0.q_proj", "nothing"]);
});

test("what would take exponential time elsewhere takes little", () => {
  expect(isMatch("([a-z_.0-9]+)+$x", "model.layers.0.self_attn.q_proj".repeat(20))).toBe(false);
  expect(isMatch("(a*)*b", "a".repeat(5000))).toBe(false);
});
