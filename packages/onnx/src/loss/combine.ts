import { OnnxError } from "../base/errors.js";
import { floats, floatsOf, type HostTensor } from "../base/host-tensor.js";
import type { Loss } from "./loss.js";

/**
 * The gradient of any loss that the caller computes: `outputs` holds dLoss/dOutput by output of the model, each in its
 * output's shape. The loss reported is sum of output * gradient.
 */
export function vjp(outputs: Readonly<Record<string, HostTensor>>): Loss {
  const names = Object.keys(outputs);
  if (names.length === 0)
    throw new OnnxError("shape-mismatch", "outputs", "is empty", "Pass a gradient of at least one output");
  return {
    key: `vjp ${names.map((name) => `${name} ${outputs[name]!.dims.length}`).join(", ")}`,
    source: { maker: "vjp", options: outputs },
    outputs: names,
    group: 1,
    build(graph) {
      const { builder } = graph;
      const terms = names.map((name) => {
        const gradient = graph.input(name, "float32", graph.dimsOf(name, outputs[name]!.dims.length));
        return builder.op("ReduceSum", [builder.op("Mul", [graph.output(name), gradient])], { keepdims: 0 });
      });
      return terms.reduce((sum, term) => builder.op("Add", [sum, term]));
    },
    async feeds({ rows }) {
      return Object.fromEntries(
        names.map((name) => {
          const gradient = floatsOf(outputs[name]!, name);
          const { dims } = gradient;
          if (dims[0] === rows) return [name, gradient];
          throw new OnnxError("shape-mismatch", name, `is [${dims}]`, `Pass ${rows} rows, in the shape of the output`);
        }),
      );
    },
  };
}

/** sum of weight * loss, each loss on the outputs of one run: a preference loss with `klToBase`, for example. */
export function combine(terms: readonly (readonly [weight: number, loss: Loss])[]): Loss {
  const losses = terms.map(([, loss]) => loss);
  const groups = losses.map(({ group }) => group);
  return {
    key: `combine(${losses.map(({ key }) => key).join(", ")})`,
    source: { maker: "combine", options: terms },
    outputs: [...new Set(losses.flatMap(({ outputs }) => outputs))],
    group: groups.some((group) => group === undefined)
      ? undefined
      : groups.reduce((a, b) => leastCommonMultiple(a!, b!), 1),
    build(graph) {
      const { builder } = graph;
      const values = losses.map((loss, i) => {
        const value = loss.build({
          ...graph,
          builder,
          input: (name, dtype, shape) => graph.input(`${i}.${name}`, dtype, shape),
        });
        return builder.op("Mul", [value, graph.input(`${i}.factor`, "float32", [])]);
      });
      return values.reduce((sum, value) => builder.op("Add", [sum, value]));
    },
    async feeds(request) {
      const all: Record<string, HostTensor> = {};
      for (const [i, [weight, loss]] of terms.entries()) {
        for (const [name, value] of Object.entries(await loss.feeds(request))) all[`${i}.${name}`] = value;
        all[`${i}.factor`] = floats([weight], []);
      }
      return all;
    },
  };
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
