import { expect, test } from "vitest";
import { GraphBuilder } from "./builder.js";
import type { Graph, Node } from "./ir.js";
import { add, eliminate, insertAfter, prune, replaceUses } from "./verbs.js";

function node(op: string, inputs: string[], output: string, attributes: Node["attributes"] = {}): Node {
  return { name: output, op, domain: "", inputs, outputs: [output], attributes };
}

function graphOf(nodes: Node[], outputs: string[]): Graph {
  return {
    name: "g",
    nodes,
    inputs: [{ name: "x", type: undefined }],
    outputs: outputs.map((name) => ({ name, type: undefined })),
    initializers: new Map(),
    types: new Map(),
  };
}

/** A graph as text: one line a node. */
function text({ nodes }: Graph): string[] {
  return nodes.map(({ op, inputs, outputs }) => `${outputs} = ${op}(${inputs})`);
}

const chain = graphOf([node("Neg", ["x"], "a"), node("Exp", ["a"], "b"), node("Abs", ["b"], "y")], ["y", "b"]);

test("added nodes stand behind what they take, and before what takes them", () => {
  const builder = new GraphBuilder("new_");
  builder.op("Mul", ["b", builder.scalar(2)]);
  const grown = add(chain, builder);
  expect(text(grown).at(-1)).toBe("new_Mul_1 = Mul(b,new_float32_0)");
  expect(grown.initializers.has("new_float32_0")).toBe(true);
  expect(
    text(
      add(graphOf([node("Neg", ["late"], "y")], ["y"]), {
        nodes: [node("Exp", ["x"], "late")],
        initializers: new Map(),
      }),
    ),
  ).toEqual(["late = Exp(x)", "y = Neg(late)"]);
});

test("an output keeps its name when its value is replaced", () => {
  expect(text(replaceUses(chain, new Map([["b", "a"]])))).toEqual([
    "a = Neg(x)",
    "b_replaced = Exp(a)",
    "y = Abs(a)",
    "b = Identity(a)",
  ]);
});

test("a node is taken out, also where its output is the graph's", () => {
  expect(text(eliminate(chain, chain.nodes[1]!, new Map([["b", "a"]])))).toEqual([
    "a = Neg(x)",
    "y = Abs(a)",
    "b = Identity(a)",
  ]);
  expect(text(eliminate(chain, chain.nodes[2]!, new Map([["y", "b"]])))).toEqual([
    "a = Neg(x)",
    "b = Exp(a)",
    "y = Identity(b)",
  ]);
  expect(() => eliminate(chain, chain.nodes[0]!, new Map())).toThrow(/nothing makes it/);
});

test("new nodes go between a value and all that takes it", () => {
  const addition = { nodes: [node("Mul", ["b", "b"], "m")], initializers: new Map() };
  expect(text(insertAfter(chain, "b", addition, "m"))).toEqual([
    "a = Neg(x)",
    "b_replaced = Exp(a)",
    "m = Mul(b_replaced,b_replaced)",
    "y = Abs(m)",
    "b = Identity(m)",
  ]);
});

test("chains of replacements are followed, and rings refused", () => {
  expect(
    text(
      replaceUses(
        chain,
        new Map([
          ["b", "a"],
          ["a", "x"],
        ]),
      ),
    ),
  ).toContain("y = Abs(x)");
  expect(() =>
    replaceUses(
      chain,
      new Map([
        ["b", "a"],
        ["a", "b"],
      ]),
    ),
  ).toThrow(/go round/);
});

test("graphs within nodes take the new value too, unless they have one of that name", () => {
  const inner = (nodes: Node[]) => ({ ...graphOf(nodes, ["i"]), inputs: [] });
  const branches = {
    then_branch: { kind: "graph" as const, value: inner([node("Abs", ["a"], "i")]) },
    else_branch: { kind: "graph" as const, value: inner([node("Exp", ["x"], "a"), node("Abs", ["a"], "i")]) },
  };
  const graph = graphOf([node("Neg", ["x"], "a"), node("If", ["x"], "y", branches)], ["y"]);
  const replaced = replaceUses(graph, new Map([["a", "x"]])).nodes[1]!.attributes;
  expect(replaced.then_branch).toMatchObject({ value: { nodes: [{ inputs: ["x"] }] } });
  expect(replaced.else_branch).toMatchObject({ value: { nodes: [{ outputs: ["a"] }, { inputs: ["a"] }] } });
  expect(prune(graph)).toBe(graph);
  expect(prune({ ...graph, nodes: [...graph.nodes, node("Neg", ["y"], "dead")] })).toEqual(graph);
});
