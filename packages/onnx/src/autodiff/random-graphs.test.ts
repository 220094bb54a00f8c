import fc from "fast-check";
import { expect, test } from "vitest";
import { numbersOf } from "../graph/constants.js";
import { type Dense, dense } from "../graph/elements/dense.js";
import { inferTypes } from "../graph/infer/infer.js";
import {
  feedsFor,
  type Growth,
  grow,
  OPSET,
  STEPS,
  type Step,
  SYMBOLS,
} from "../graph/infer/random-graphs.test-support.js";
import type { Dim, Graph, Model } from "../graph/ir.js";
import { simplify } from "../graph/passes/simplify.js";
import { backward } from "./backward.js";
import { evaluate } from "./oracle.test-support.js";

// GRADIENT_GRAPHS is their number, FUZZ_SEED where they begin: `GRADIENT_GRAPHS=50000 npx vitest run packages/onnx/src/autodiff/random`.
const GRAPHS = Number(process.env.GRADIENT_GRAPHS ?? process.env.GRAPHS ?? 300);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

const float = (growth: Growth, isRank?: (rank: number) => boolean) => growth.value(["float32"], isRank);
const axisOf = (growth: Growth, value: string) => growth.int(-growth.dims(value).length, growth.dims(value).length - 1);
const hasAxes = (rank: number) => rank > 0;

/** Smooth operators, and those of attention and normalisation, in the shapes that happen to be there. */
const SMOOTH: readonly Step[] = [
  (g) => g.op(g.pick(["Tanh", "Sigmoid", "Erf", "Softplus", "Sin", "Cos", "Softsign", "Atan"]), [float(g)]),
  (g) => g.op(g.pick(["Tanh", "Sigmoid", "Exp", "Identity", "Neg"]), [g.op("Tanh", [float(g)])]),
  (g) => g.op(g.pick(["Add", "Sub", "Mul"]), [float(g), float(g)]),
  (g) => g.op("Div", [float(g), g.op("Exp", [g.op("Tanh", [float(g)])])]),
  (g) => g.op("Sqrt", [g.op("Softplus", [float(g)])]),
  (g) => g.op("Pow", [g.op("Softplus", [float(g)]), g.constant("float32", [g.pick([2, 3, 0.5, -1, 1.5])], [])]),
  (g) => {
    const value = float(g, hasAxes);
    return g.op(g.pick(["Softmax", "LogSoftmax"]), [value], { axis: axisOf(g, value) });
  },
  (g) => {
    const value = float(g, hasAxes);
    const width = g.dims(value).at(-1)!;
    const vector = () =>
      g.constant(
        "float32",
        Array.from({ length: width }, (_, i) => 0.5 + i / 7),
        [width],
      );
    return g.op("LayerNormalization", [value, vector(), vector()], { axis: -1 });
  },
  (g) => {
    const value = float(g, hasAxes);
    const op = g.pick(["ReduceSum", "ReduceMean", "ReduceLogSumExp", "ReduceSumSquare", "ReduceProd"]);
    return g.op(op, [value, g.ints(axisOf(g, value))], { keepdims: g.int(0, 1) });
  },
  (g) => g.op("MatMul", [float(g, hasAxes), float(g, hasAxes)]),
  (g) => {
    const value = float(g, (rank) => rank === 2);
    return g.op("MatMul", [value, g.op("Transpose", [float(g, (rank) => rank === 2)])]);
  },
  (g) => {
    const matrix = () => float(g, (rank) => rank === 2);
    return g.op("Gemm", [matrix(), matrix(), float(g, (rank) => rank <= 2)], {
      ...{ transA: g.int(0, 1), transB: g.int(0, 1) },
      ...{ alpha: { kind: "float", value: 0.5 } as const, beta: { kind: "float", value: 1.5 } as const },
    });
  },
  (g) => {
    const [a, b] = [float(g, (rank) => rank === 2), float(g, (rank) => rank === 2)];
    const [[i, j], [k, l]] = [g.dims(a), g.dims(b)] as [[number, number], [number, number]];
    const fitting = [j === k && "ij,jk->ik", j === l && "ij,kj->ik", i === k && j === l && "ij,ij->i", "ij,kl->jk"];
    return g.op("Einsum", [a, b], { equation: g.pick(fitting.filter((each) => each !== false)) });
  },
  (g) => g.op("Where", [g.value(["bool"]), float(g), float(g)]),
  (g) => g.op("Greater", [g.value(["int64"]), g.constant("int64", [g.int(-1, 3)], [])]),
  (g) => {
    const value = float(g, hasAxes);
    const { length } = g.dims(value);
    return g.op("CumSum", [value, g.constant("int64", [g.int(0, length - 1)], [])], {
      exclusive: g.int(0, 1),
      reverse: g.int(0, 1),
    });
  },
];

/** As often smooth as of shapes and sizes, so that gradients have something to go through. */
const CHOICES: readonly Step[] = [...SMOOTH, ...SMOOTH, ...STEPS];

const size = fc.constantFrom(2, 3, 1, 4);
const sizes = fc
  .tuple(size, size, size)
  .map((all) => new Map<Dim, number>(SYMBOLS.map((symbol, index) => [symbol, all[index]!])));
const draws = fc.array(fc.nat(9999), { minLength: 16, maxLength: 16 });
const steps = fc.array(draws, { minLength: 3, maxLength: 24, size: "max" });

function drawer(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** Numbers that no two elements share, so that no maximum is one of several. */
function realFeeds(graph: Graph, symbols: ReadonlyMap<Dim, number>, draw: () => number): Map<string, Dense> {
  return new Map(
    [...feedsFor(graph, symbols)].map(([name, value]) => [
      name,
      value.dtype === "float32" ? dense("float64", value.dims, value.data.map(draw)) : value,
    ]),
  );
}

const modelOf = (graph: Graph): Model => ({
  irVersion: 10,
  producer: "",
  opsets: new Map([["", OPSET]]),
  graph: {
    ...graph,
    nodes: graph.nodes.map(unrounded),
    inputs: graph.inputs.map(wide),
    outputs: graph.outputs.map(wide),
  },
  functions: [],
  metadata: new Map(),
});

/** A Cast to float32 would round what is to be differentiated. */
function unrounded(node: Graph["nodes"][number]): Graph["nodes"][number] {
  const isCast = node.op === "Cast" && node.attributes.to?.value === 1;
  return isCast ? { ...node, attributes: { to: { kind: "int", value: 11 } } } : node;
}

function wide<T extends Graph["inputs"][number]>(info: T): T {
  return info.type?.dtype === "float32" ? { ...info, type: { ...info.type, dtype: "float64" } } : info;
}

const INPUTS = ["x", "y", "z"];

test(`${GRAPHS} random graphs: gradients agree with float64 differences, simplified or not`, {
  timeout: 100 * GRAPHS + 60_000,
}, () => {
  let checked = 0;
  const property = fc.property(steps, sizes, (drawn, symbols) => {
    const graph = grow(drawn, symbols, CHOICES);
    const draw = drawer(drawn[0]?.[0] ?? 1);
    const ends = graph.outputs.filter(({ type }) => type?.dtype === "float32").slice(-2);
    if (ends.length === 0) return;
    const feeds = realFeeds(graph, symbols, draw);
    const run = (model: Model, at: ReadonlyMap<string, Dense>) => attempt(() => evaluate(model.graph, at));
    const model = modelOf({ ...graph, outputs: ends });
    const values = run(model, feeds);
    if (values === undefined) return;
    const seeds = new Map<string, string>();
    for (const { name } of ends) {
      const { dims, data } = values.get(name)!;
      feeds.set(`seed ${name}`, dense("float64", dims, data.map(draw)));
      seeds.set(name, `seed ${name}`);
    }
    const inputs = [...seeds.values()].map((name) => ({
      name,
      type: { dtype: "float64" as const, shape: feeds.get(name)!.dims },
    }));
    const seeded = { ...model, graph: { ...model.graph, inputs: [...model.graph.inputs, ...inputs] } };
    const lossAt = (at: ReadonlyMap<string, Dense>) => {
      const seen = run(model, at);
      return ends.reduce((sum, { name }) => sum + dot(seen!.get(name)!.data, feeds.get(`seed ${name}`)!.data), 0);
    };
    for (const known of [inferTypes(seeded), seeded]) {
      const derived = backward(known, { seeds, wrt: INPUTS });
      for (const each of known === seeded ? [derived.model] : [simplify(derived.model)]) {
        const all = evaluate(each.graph, feeds);
        for (const [input, name] of derived.gradients) {
          const direction = feeds.get(input)!.data.map(draw);
          const gradient = all.get(name)!;
          expect([input, ...gradient.dims]).toEqual([input, ...feeds.get(input)!.dims]);
          const exact = dot(direction, gradient.data);
          const slopes = [2e-6, 1e-6].map(
            (step) =>
              (lossAt(moved(feeds, input, direction, step)) - lossAt(moved(feeds, input, direction, -step))) /
              (2 * step),
          );
          // Where two steps disagree the function has a corner, or is too steep to be measured.
          if (!(Math.abs(slopes[0]! - slopes[1]!) <= 1e-6 * (1 + Math.abs(slopes[1]!)))) continue;
          checked++;
          expect(Math.abs(exact - slopes[1]!), `${input}: ${exact} and not ${slopes[1]} ${told(graph)}`).toBeLessThan(
            1e-5 * (1 + Math.abs(slopes[1]!)),
          );
        }
      }
    }
  });
  fc.assert(property, { numRuns: GRAPHS, seed: SEED });
  expect(checked).toBeGreaterThan(GRAPHS);
});

/** A graph in one line. */
function told({ nodes, inputs, initializers }: Graph): string {
  const constants = [...initializers].map(([name, tensor]) => `${name}=${numbersOf(tensor)}`);
  const made = nodes.map(({ op, inputs: taken, outputs, attributes }) => {
    const settings = Object.entries(attributes).map(([name, { value }]) => `${name}=${JSON.stringify(value)}`);
    return `${outputs} = ${op}(${[...taken, ...settings]})`;
  });
  return [...inputs.map(({ name, type }) => `${name}[${type?.shape}]`), ...constants, ...made].join("; ");
}

function moved(feeds: ReadonlyMap<string, Dense>, input: string, direction: Float64Array, step: number) {
  const { dtype, dims, data } = feeds.get(input)!;
  return new Map([
    ...feeds,
    [
      input,
      dense(
        dtype,
        dims,
        data.map((value, i) => value + step * direction[i]!),
      ),
    ],
  ]);
}

function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
