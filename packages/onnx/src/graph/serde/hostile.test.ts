import { readFileSync } from "node:fs";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { expect, test } from "vitest";
import { OnnxError } from "../../base/errors.js";
import type { Graph, Model } from "../ir.js";
import { simplify } from "../passes/simplify.js";
import { readModel } from "./read.js";
import { encodeModel } from "./write.js";

// FUZZ is the number of inputs, FUZZ_SEED where they begin: `FUZZ=1000000 npx vitest run packages/onnx/src/graph/serde/hostile`.
const INPUTS = Number(process.env.FUZZ ?? 2_000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

/** A random number below a bound. Source: mulberry32, Tommy Ettinger */
type Random = (below: number) => number;
function randomFrom(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const SURPRISES = [0, 1, 2, 5, 10, 18, 0x3a, 0x7f, 0x80, 0xff];

/** Changes that keep the rest of a file as it is. */
const MUTATIONS: readonly ((bytes: Uint8Array, random: Random) => Uint8Array)[] = [
  (bytes, random) => bytes.with(random(bytes.length), random(256)),
  (bytes, random) => bytes.with(random(bytes.length), SURPRISES[random(SURPRISES.length)]!),
  (bytes, random) => bytes.subarray(0, random(bytes.length)),
  (bytes, random) => {
    const at = random(bytes.length);
    return joined(bytes.subarray(0, at), bytes.subarray(at + random(20)));
  },
  (bytes, random) => {
    const [from, at] = [random(bytes.length), random(bytes.length)];
    return joined(bytes.subarray(0, at), bytes.subarray(from, from + random(200)), bytes.subarray(at));
  },
  (bytes, random) => {
    const at = random(bytes.length);
    const varint = new BinaryWriter().uint64(2n ** BigInt(random(64)) - BigInt(random(2))).finish();
    return joined(bytes.subarray(0, at), varint, bytes.subarray(at + varint.length));
  },
];

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** What comes of bytes: the code of the refusal, or "read". */
function outcomeOf(bytes: Uint8Array): string {
  try {
    const model = simplify(readModel(bytes));
    encodeModel(model);
    return "read";
  } catch (error) {
    if (error instanceof OnnxError) return error.code;
    throw error;
  }
}

const seeds = [
  new Uint8Array(readFileSync(new URL("../../../fixtures/bert-legacy/model.onnx", import.meta.url))),
  encodeModel(nested(6)),
];

test("whatever is changed in a file, it is read or refused", { timeout: 600_000 }, () => {
  const outcomes = new Map<string, number>();
  for (let input = 0; input < INPUTS; input++) {
    const random = randomFrom(SEED + input);
    let bytes: Uint8Array = seeds[random(20) === 0 ? 0 : 1]!;
    for (let round = 0; round <= random(4); round++) {
      if (bytes.length > 1) bytes = MUTATIONS[random(MUTATIONS.length)]!(bytes, random);
    }
    const outcome = outcomeOf(bytes);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  expect([...outcomes.keys()]).toEqual(expect.arrayContaining(["read", "truncated", "not-onnx", "invalid-graph"]));
});

/** A model with an If in an If in an If. */
function nested(depth: number): Model {
  let graph: Graph = graphOf("Neg", {});
  for (let level = 0; level < depth; level++) {
    graph = graphOf("If", {
      then_branch: { kind: "graph", value: graph },
      else_branch: { kind: "graph", value: graphOf("Abs", {}) },
    });
  }
  const inputs = [{ name: "x", type: { dtype: "bool" as const, shape: ["n"] } }];
  return {
    irVersion: 8,
    producer: "",
    opsets: new Map([["", 17]]),
    graph: { ...graph, inputs },
    functions: [],
    metadata: new Map(),
  };
}

function graphOf(op: string, attributes: Graph["nodes"][number]["attributes"]): Graph {
  const node = { name: "n", op, domain: "", inputs: ["x"], outputs: ["y"], attributes };
  return {
    name: "",
    nodes: [node],
    inputs: [],
    outputs: [{ name: "y", type: undefined }],
    initializers: new Map(),
    types: new Map(),
  };
}

test("graphs within graphs are read as deep as anyone nests them, and refused beyond", () => {
  expect(outcomeOf(encodeModel(nested(20)))).toBe("read");
  expect(outcomeOf(encodeModel(nested(40)))).toBe("not-onnx");
});

/** A field of bytes around bytes. */
function field(number: number, content: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(content).finish();
}

const FIELDS = {
  irVersion: 1,
  graph: 7,
  opset: 8,
  node: 1,
  attribute: 5,
  attributeGraph: 6,
  initializer: 5,
  dims: 1,
} as const;
const header = new BinaryWriter().tag(FIELDS.irVersion, WireType.Varint).int64(8).finish();
const model = (graph: Uint8Array) =>
  joined(
    header,
    field(FIELDS.graph, graph),
    field(FIELDS.opset, new BinaryWriter().tag(2, WireType.Varint).int64(17).finish()),
  );

test("a thousand levels of nesting are refused, not followed", () => {
  let graph: Uint8Array = Uint8Array.of(10, 0);
  for (let level = 0; level < 1000; level++) {
    graph = field(FIELDS.node, field(FIELDS.attribute, field(FIELDS.attributeGraph, graph)));
  }
  expect(outcomeOf(model(graph))).toBe("not-onnx");
});

test("millions of empty nodes are refused before they are made", () => {
  expect(outcomeOf(model(new Uint8Array(2_000_000).map((_, index) => (index % 2 === 0 ? 10 : 0))))).toBe("not-onnx");
});

test.each([
  ["more elements than memory has", [2 ** 40, 2 ** 20]],
  ["a negative size", [-1, 4]],
])("a tensor of %s is refused", (_, sizes) => {
  const dims = sizes.map((size) => new BinaryWriter().tag(FIELDS.dims, WireType.Varint).int64(size).finish());
  const type = new BinaryWriter().tag(2, WireType.Varint).int32(1).finish();
  const name = field(8, new TextEncoder().encode("w"));
  expect(outcomeOf(model(field(FIELDS.initializer, joined(...dims, type, name))))).toBe("invalid-graph");
});

test("a chain of a hundred thousand nodes in reverse is sorted", () => {
  const nodes = Array.from({ length: 100_000 }, (_, index) => ({
    name: "",
    op: "Neg",
    domain: "",
    inputs: [`v${index}`],
    outputs: [`v${index + 1}`],
    attributes: {},
  }));
  const graph: Graph = {
    ...graphOf("Neg", {}),
    nodes: nodes.toReversed(),
    inputs: [{ name: "v0", type: undefined }],
    outputs: [{ name: "v100000", type: undefined }],
  };
  const read = readModel(encodeModel({ ...nested(0), graph }));
  expect(read.graph.nodes[0]!.inputs).toEqual(["v0"]);
});
