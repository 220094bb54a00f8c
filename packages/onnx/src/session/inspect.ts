import { backward, type NoGradient } from "../autodiff/backward.js";
import { graft, type Port } from "../graft/graft.js";
import type { Module } from "../graft/modules.js";
import type { Role } from "../graft/roles.js";
import { inferTypes } from "../graph/infer/infer.js";
import type { Model, ValueInfo } from "../graph/ir.js";
import { anatomyOf, type TypedBranch } from "./branches.js";

/** What can be done with one module of a model. */
export interface ModuleReport {
  readonly module: string;
  readonly role: Role | undefined;
  readonly operator: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Why it can have no adapter; undefined if it can. */
  readonly notAdaptable: string | undefined;
  /** Why an adapter on it gets no gradient; undefined if it does. */
  readonly notLearnable: string | undefined;
}

/** Every module of a model that has a weight matrix, and whether it can be adapted and learned. */
export function inspectModel(model: Model): readonly ModuleReport[] {
  const { branches, found } = anatomyOf(model);
  const { modules, refusals } = found;
  const whole = modules.filter(({ slice }) => slice === undefined);
  const missing = notLearnable(branches, whole);
  const reports = modules.map(({ name, role, inFeatures, outFeatures, sites, slice }) => ({
    module: name,
    role,
    operator: sites[0]!.node.op,
    inFeatures,
    outFeatures,
    notAdaptable: undefined,
    notLearnable: missing.get(slice?.of ?? name),
  }));
  const refused = refusals.map(({ name, node, inFeatures, outFeatures, reason }) => ({
    module: name,
    role: undefined,
    operator: node.op,
    inFeatures,
    outFeatures,
    notAdaptable: `${node.op} ${reason}`,
    notLearnable: "it can have no adapter",
  }));
  return [...reports, ...refused];
}

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
