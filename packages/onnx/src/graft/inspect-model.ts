import { refuseArgument } from "../base/check.js";
import type { Model } from "../graph/ir.js";
import { splitBranches } from "./branches.js";
import { notLearnable } from "./inspect.js";
import type { Role } from "./roles.js";

/** What can be done with one module of a model. */
export interface ModuleReport {
  /** Name of the module. */
  readonly module: string;
  /** What the module does in a transformer; undefined if that is not known. */
  readonly role: Role | undefined;
  /** The ONNX operator that applies the weight. */
  readonly operator: string;
  /** Width of the input. */
  readonly inFeatures: number;
  /** Width of the output. */
  readonly outFeatures: number;
  /** Why it can have no adapter; undefined if it can. */
  readonly notAdaptable: string | undefined;
  /** Why an adapter on it gets no gradient; undefined if it does. */
  readonly notLearnable: string | undefined;
}

/** Every module of a model that has a weight matrix, and whether it can be adapted and learned. */
export function inspectModel(model: Model): readonly ModuleReport[] {
  if (model?.graph?.initializers === undefined) refuseArgument("model", model, "Pass what readModel gives");
  const { branches, found } = splitBranches(model);
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
