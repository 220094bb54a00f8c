import { backward, type NoGradient } from "../autodiff/backward.js";
import { inferTypes } from "../graph/infer/infer.js";
import type { ValueInfo } from "../graph/ir.js";
import type { TypedBranch } from "./branches.js";
import { graft, type Port } from "./graft.js";
import type { Module } from "./modules.js";

/** Why modules get no gradient of the outputs of any branch, by module: the operator and the node that cut them off. */
export function notLearnable(
  [first, ...rest]: readonly TypedBranch[],
  modules: readonly Module[],
): ReadonlyMap<string, string> {
  const others = rest.map((branch) => cutOffIn(branch, modules));
  return new Map([...cutOffIn(first!, modules)].filter(([name]) => others.every((other) => other.has(name))));
}

function cutOffIn(branch: TypedBranch, modules: readonly Module[]): ReadonlyMap<string, string> {
  const { model, ports } = graft(branch.model, modules, {
    rows: undefined,
    typeOf: (value) => branch.types.get(value),
  });
  const { graph } = model;
  const outputs = inferTypes(model).graph.outputs.filter(({ type }) => type?.dtype.startsWith("float"));
  const seeds = outputs.map(({ name, type }): ValueInfo => ({ name: `${name}.gradient`, type }));
  const seeded = inferTypes({ ...model, graph: { ...graph, inputs: [...graph.inputs, ...seeds] } });
  const { missing } = backward(seeded, {
    seeds: new Map(outputs.map(({ name }) => [name, `${name}.gradient`])),
    wrt: ports.map(({ loraB }) => loraB),
  });
  return reasonsOf(ports, missing);
}

/** The same by what a derivation says of inputs A and B. */
export function reasonsOf(
  ports: readonly Port[],
  missing: ReadonlyMap<string, NoGradient>,
): ReadonlyMap<string, string> {
  return new Map(
    ports.flatMap(({ loraB, modules }) => {
      const reason = missing.get(loraB);
      return reason === undefined ? [] : modules.map(({ name }) => [name, tell(reason)] as const);
    }),
  );
}

function tell(reason: NoGradient): string {
  if (reason.reason === "unreachable") return "no output depends on it";
  return `${reason.domain === "" ? "" : `${reason.domain}:`}${reason.op} ${reason.node} cuts it off: ${reason.problem}`;
}
