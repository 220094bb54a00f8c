import fc from "fast-check";
import { env, InferenceSession, Tensor } from "onnxruntime-web";
import { expect, test } from "vitest";
import { intOf } from "../attributes.js";
import { type Dense, dense, fromTensor } from "../elements/dense.js";
import type { Dim, Graph, Node } from "../ir.js";
import { encodeModel } from "../serde/write.js";
import { contradictions } from "./contradictions.test-support.js";
import { type Inferred, inferGraph } from "./infer.js";
import { feedsFor, grow, OPSET, SYMBOLS } from "./random-graphs.test-support.js";

// GRAPHS is their number, FUZZ_SEED where they begin: `GRAPHS=80000 npx vitest run packages/onnx/src/graph/infer/random`.
const GRAPHS = Number(process.env.GRAPHS ?? 100);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

env.wasm.numThreads = 1;

const SILENT = { logSeverityLevel: 4 } as const;
const OPSETS = new Map([["", OPSET]]);

const size = fc.constantFrom(2, 3, 1, 4, 5, 7, 0);
const sizes = fc
  .tuple(size, size, size)
  .map((all) => new Map<Dim, number>(SYMBOLS.map((symbol, index) => [symbol, all[index]!])));
const draws = fc.array(fc.nat(9999), { minLength: 16, maxLength: 16 });
const steps = fc.array(draws, { minLength: 2, maxLength: 24, size: "max" });

/** Undefined for a graph that onnxruntime sees to run with no sizes. */
function sessionOf(graph: Graph): Promise<InferenceSession | undefined> {
  const model = { irVersion: 8, producer: "", opsets: OPSETS, graph, functions: [], metadata: new Map() };
  const options = { graphOptimizationLevel: "disabled", ...SILENT } as const;
  return InferenceSession.create(encodeModel(model), options).catch(() => undefined);
}

function toOrt({ dtype, dims, data }: Dense): Tensor {
  return dtype === "int64"
    ? new Tensor("int64", BigInt64Array.from(data, BigInt), dims)
    : new Tensor("float32", Float32Array.from(data), dims);
}

/** All values of a run; undefined for sizes with which the graph does not run. */
async function run(graph: Graph, session: InferenceSession, feeds: ReadonlyMap<string, Dense>) {
  const tensors = Object.fromEntries([...feeds].map(([name, value]) => [name, toOrt(value)]));
  const results = await session.run(tensors, SILENT).catch(() => undefined);
  if (results === undefined) return undefined;
  const values = Object.entries(results).map(
    ([name, { type, dims, data }]) =>
      [name, dense(type as Dense["dtype"], dims, Array.from(data as ArrayLike<number>, Number))] as const,
  );
  const constants = [...graph.initializers].map(([name, tensor]) => [name, fromTensor(tensor)!] as const);
  return new Map([...feeds, ...constants, ...values]);
}

type Values = ReadonlyMap<string, Dense>;

type Oddity = (node: Node, values: Values, known: Inferred["known"]) => boolean;

const takesNothing: Oddity = ({ inputs }, values) => inputs.some((name) => values.get(name)?.data.length === 0);

/** Runs that mean nothing: what onnxruntime makes of no elements at all, and sizes of 0 as a Reshape's "as it was". */
const ODDITIES: readonly (readonly [op: RegExp, isOdd: Oddity])[] = [
  [/^(Arg|Reduce|MatMul)/, takesNothing],
  [
    /^Concat/,
    ({ inputs, attributes }, values) => {
      const others = inputs.map((name) => values.get(name)!.dims.toSpliced(intOf(attributes, "axis", 0), 1));
      return others.some((dims) => `${dims}` !== `${others[0]}`);
    },
  ],
  [
    /^Reshape/,
    ({ inputs: [, shape = ""], attributes }, values, known) => {
      const isZero = (size: number, index: number) => size === 0 && known.get(shape)?.data[index] !== 0;
      return intOf(attributes, "allowzero", 0) === 0 && values.get(shape)!.data.some(isZero);
    },
  ],
];

function isOdd({ nodes }: Graph, values: Values, known: Inferred["known"]): boolean {
  return nodes.some((node) => ODDITIES.some(([op, isOdd]) => op.test(node.op) && isOdd(node, values, known)));
}

test("what is inferred of random graphs is what onnxruntime makes, whatever the sizes", {
  timeout: 100 * GRAPHS + 30_000,
}, async () => {
  let ran = 0;
  const property = fc.asyncProperty(steps, fc.array(sizes, { minLength: 3, maxLength: 3 }), async (drawn, all) => {
    const graph = grow(drawn, all[0]!);
    if (graph.nodes.length === 0) return;
    const inferred = inferGraph(
      { ...graph, outputs: graph.outputs.map(({ name }) => ({ name, type: undefined })) },
      OPSETS,
    );
    const session = await sessionOf(graph);
    if (session === undefined) return;
    try {
      for (const symbols of all) {
        const values = await run(graph, session, feedsFor(graph, symbols));
        if (values === undefined) continue;
        if (isOdd(graph, values, inferred.known)) continue;
        ran++;
        expect(contradictions(inferred, values)).toEqual([]);
      }
    } finally {
      await session.release();
    }
  });
  await fc.assert(property, { numRuns: GRAPHS, seed: SEED });
  expect(ran).toBeGreaterThan(GRAPHS);
});
