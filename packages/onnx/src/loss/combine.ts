import { checkObject, refuseArgument } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import { floats, floatsOf, type HostTensor } from "../base/host-tensor.js";
import type { Loss, LossRequest } from "./loss.js";

/**
 * The gradient of any loss that the caller computes: `outputs` holds dLoss/dOutput by output of the model, each in its
 * output's shape. The loss reported is sum of output * gradient.
 */
export function vjp(outputs: Readonly<Record<string, HostTensor>>): Loss {
  checkObject(outputs, "outputs", "Pass { output: gradient }, each a tensor in the output's shape");
  const names = Object.keys(outputs);
  for (const name of names) {
    if (!Array.isArray(outputs[name]?.dims))
      refuseArgument(`outputs.${name}`, outputs[name], "Pass a tensor { type, dims, data }");
  }
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
    async feeds({ sizesOf }) {
      return Object.fromEntries(
        names.map((name) => {
          const gradient = floatsOf(outputs[name]!, name);
          const { dims } = gradient;
          const shape = sizesOf(name);
          const isIt =
            shape === undefined ||
            (shape.length === dims.length && shape.every((size, axis) => size === undefined || size === dims[axis]));
          if (isIt) return [name, gradient];
          const remedy = `Pass [${shape.map((size) => size ?? "any").join(", ")}], the shape of the output`;
          throw new OnnxError("shape-mismatch", name, `is [${dims}]`, remedy);
        }),
      );
    },
  };
}

/** sum of weight * loss, each loss on the outputs of one run: a preference loss with `klToBase`, for example. */
export function combine(terms: readonly (readonly [weight: number, loss: Loss])[]): Loss {
  checkTerms(terms);
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
    shares: (request) => sharesOf(terms, request),
  };
}

function checkTerms(terms: unknown): void {
  if (!Array.isArray(terms) || terms.length === 0) refuseArgument("terms", terms, "Pass a list of [weight, loss]");
  for (const [i, term] of terms.entries()) {
    const isTerm = Array.isArray(term) && Number.isFinite(term[0]) && typeof term[1]?.build === "function";
    if (!isTerm) refuseArgument(`terms[${i}]`, term, "Pass [weight, loss]");
  }
}

/** The shares of the terms, averaged by weight: exact where all terms are means over the same rows, or sums. */
function sharesOf(terms: readonly (readonly [weight: number, loss: Loss])[], request: LossRequest): readonly number[] {
  const group = terms.reduce((all, [, { group: own }]) => leastCommonMultiple(all, own ?? 1), 1);
  const total = terms.reduce((sum, [weight]) => sum + Math.abs(weight), 0) || 1;
  return Array.from({ length: Math.ceil(request.rows / group) }, (_, i) =>
    terms.reduce((sum, [weight, loss]) => {
      const own = loss.shares?.(request);
      const width = group / (loss.group ?? group);
      const share = own === undefined ? 1 : own.slice(i * width, (i + 1) * width).reduce((a, b) => a + b, 0);
      return sum + (Math.abs(weight) / total) * share;
    }, 0),
  );
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
