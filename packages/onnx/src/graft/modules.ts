import { OnnxError } from "../base/errors.js";
import type { Graph, Node } from "../graph/ir.js";
import type { ShapeOfOne } from "../graph/sizes.js";
import { type Links, linksOf } from "./links.js";
import { isCallOfLinear, pathOf } from "./names.js";
import { partsOf } from "./packed.js";
import { type Role, roleOf } from "./roles.js";
import { findSites, type Refusal, type Site } from "./sites.js";

/** A module that an adapter can stand beside: one weight, at one site or, where the model calls it again, several. */
export interface Module {
  /** Path as in PyTorch, or made from the structure (`layers.0.q_proj`). */
  readonly name: string;
  /** What the module does in a transformer; undefined if that is not known. */
  readonly role: Role | undefined;
  /** How the weight is applied. */
  readonly kind: Site["kind"];
  /** Width of the input. */
  readonly inFeatures: number;
  /** Width of the output. */
  readonly outFeatures: number;
  /** The places in the graph at which it is called. */
  readonly sites: readonly Site[];
  /** For Q alone of a packed QKV, and its like: which outputs of the whole weight are this module's. */
  readonly slice?: Slice;
}

/** Outputs of a packed weight. */
export interface Slice {
  /** Name of the module that holds the whole weight. */
  readonly of: string;
  /** Its number of outputs. */
  readonly whole: number;
  /** [first, count] of outputs, in the order of the slice. */
  readonly ranges: readonly (readonly [number, number])[];
}

/** Everything in a graph that has a weight matrix. */
export interface Modules {
  /** The modules that an adapter can stand beside. */
  readonly modules: readonly Module[];
  /** Weights that can have no adapter, and why. */
  readonly refusals: readonly (Refusal & { readonly name: string })[];
}

const PACKED: ReadonlySet<Role | undefined> = new Set(["qkv_proj", "kv_proj", "gate_up_proj"]);

/**
 * The modules of a graph, in the order of the graph; the parts of a packed projection follow it.
 * @param shapeOf shapes for a batch of one text of one token, without which nothing can be taken apart
 */
export function findModules(graph: Graph, shapeOf: ShapeOfOne = () => undefined): Modules {
  const links = { ...linksOf(graph), shapeOf };
  const { sites, refusals } = findSites(links);
  const nodes = new Set([...sites, ...refusals].map(({ node }) => node));
  const roles = sites.map((site) => roleOf(links, site, (node) => nodes.has(node)));
  const names = namesOf(links, sites, roles);
  const modules = new Map<string, Module>();
  const isWeight = (node: Node) => nodes.has(node);
  for (const [i, site] of sites.entries()) {
    const role = roles[i];
    const name = uniqueName(modules, names[i]!, site);
    const others = modules.get(name)?.sites ?? [];
    const { kind, inFeatures, outFeatures } = site;
    modules.set(name, { name, role, kind, inFeatures, outFeatures, sites: [...others, site] });
    if (!PACKED.has(role)) continue;
    for (const [part, ranges] of partsOf(links, site, isWeight, shapeOf))
      addPart(modules, modules.get(name)!, part, ranges);
  }
  const named = refusals.map((refusal) => ({ ...refusal, name: pathOf(links, refusal) ?? refusal.node.name }));
  return { modules: [...modules.values()], refusals: named };
}

/** The modules of several graphs that share weights: a weight is one module, under the name that the first graph has for it. */
export function uniteModules(graphs: readonly Modules[]): Modules {
  const modules = new Map<string, Module>();
  for (const module of graphs.flatMap((each) => each.modules)) {
    const { kind, sites, slice } = module;
    const key = JSON.stringify([kind, sites[0]!.weight, slice?.ranges]);
    const known = modules.get(key);
    modules.set(key, known === undefined ? module : { ...known, sites: [...known.sites, ...sites] });
  }
  const refusals = new Map(graphs.flatMap((each) => each.refusals).map((refusal) => [refusal.name, refusal]));
  return { modules: [...modules.values()], refusals: [...refusals.values()] };
}

/** A part of a packed module, named as its role beside it: `attn.q_proj` of `attn.qkv_proj`. */
function addPart(modules: Map<string, Module>, whole: Module, role: Role, ranges: Slice["ranges"]): void {
  const name = [...whole.name.split(".").slice(0, -1), role].join(".");
  if (modules.get(name)?.slice?.of !== whole.name && modules.has(name)) return;
  const outFeatures = ranges.reduce((sum, [, count]) => sum + count, 0);
  modules.set(name, { ...whole, name, role, outFeatures, slice: { of: whole.name, whole: whole.outFeatures, ranges } });
}

/** A path, with the role behind it where one module of the exporter's has weights of several roles; else by structure. */
function namesOf(links: Links, sites: readonly Site[], roles: readonly (Role | undefined)[]): readonly string[] {
  const structural = structuralNames(sites, roles);
  const paths = sites.map((site) => pathOf(links, site));
  return sites.map((site, i) => {
    const path = paths[i];
    const others = sites.flatMap((other, k) => (paths[k] === path && !isSameModule(other, site) ? [roles[k]] : []));
    const isTold =
      others.length > 0 && roles[i] !== undefined && !others.includes(undefined) && !others.includes(roles[i]);
    return path === undefined ? structural[i]! : isTold ? `${path}.${roles[i]}` : path;
  });
}

/** The name itself for a new module or another call of the same, which torch.jit numbers; else the name with a number. */
function uniqueName(modules: ReadonlyMap<string, Module>, name: string, site: Site): string {
  const isCallOf = (known: Module | undefined) => known !== undefined && isSameModule(known.sites[0]!, site);
  const called = name.replace(/_\d+$/, "");
  if (isCallOf(modules.get(called))) return called;
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? name : `${name}.${n}`;
    const known = modules.get(candidate);
    if (known === undefined || isCallOf(known)) return candidate;
  }
}

/** Whether sites of one name are calls of one module. torch.export may fold a weight that is shared into one copy a call. */
function isSameModule(a: Site, b: Site): boolean {
  if (a.kind !== b.kind) return false;
  const haveSameWidths = a.inFeatures === b.inFeatures && a.outFeatures === b.outFeatures;
  return a.weight === b.weight || (haveSameWidths && isCallOfLinear(a.node) && isCallOfLinear(b.node));
}

/** `layers.N.role`, with a new layer at each role that the layer before has already. */
function structuralNames(sites: readonly Site[], roles: readonly (Role | undefined)[]): readonly string[] {
  let layer = 0;
  let taken = new Set<string>();
  return sites.map((site, i) => {
    const role = roles[i] ?? "linear";
    if (role === "embed" || role === "lm_head") return role;
    if (role !== "linear" && taken.has(role)) {
      layer++;
      taken = new Set();
    }
    taken.add(role);
    return role === "linear" ? `layers.${layer}.${site.node.op}_${i}` : `layers.${layer}.${role}`;
  });
}

/** Which modules get an adapter: names as PEFT takes them, an expression, all linear layers, or a choice of one's own. */
export type Targets = readonly string[] | RegExp | "all-linear" | ((module: Module) => boolean);

/**
 * The modules that `targets` names. A name means the modules whose path is it or ends in `.` and it (PEFT's rule), else
 * those whose role it is, so that `q_proj` is found in a model that calls it `query`, or has lost its names. `all-linear`
 * leaves out embeddings and the output layer (of tokens, or of classes), as PEFT does.
 * @throws OnnxError `unknown-module`
 */
export function selectModules(modules: readonly Module[], targets: Targets): readonly Module[] {
  const chosen = new Set(choose(modules, targets));
  if (chosen.size === 0) refuseTarget(String(targets), modules);
  const whole = new Set([...chosen].filter(({ slice }) => slice === undefined).map(({ name }) => name));
  return modules.filter((module) => chosen.has(module) && !whole.has(module.slice?.of ?? ""));
}

function choose(modules: readonly Module[], targets: Targets): readonly Module[] {
  if (targets === "all-linear") {
    return modules.filter((module) => module.kind === "linear" && !isOutputLayer(module) && module.slice === undefined);
  }
  if (targets instanceof RegExp) return modules.filter(({ name }) => name.search(targets) >= 0);
  if (typeof targets === "function") return modules.filter(targets);
  if (!Array.isArray(targets)) refuseTarget(String(targets), modules);
  return targets.flatMap((target) => modulesNamed(modules, target));
}

/** The projection to the vocabulary, or to the classes by the names that PEFT knows; a narrower last layer is one like others. */
function isOutputLayer({ name, role, inFeatures, outFeatures }: Module): boolean {
  return role === "lm_head" && (outFeatures > inFeatures || /(^|\.)(classifier|score)$/.test(name));
}

/** Modules whose path is the name or ends in it, else those whose role it is. @throws OnnxError `unknown-module` */
function modulesNamed(modules: readonly Module[], target: string): readonly Module[] {
  const named = modules.filter(({ name }) => name === target || name.endsWith(`.${target}`));
  const found = named.length > 0 ? named : modules.filter(({ role }) => role === target);
  return found.length > 0 ? found : refuseTarget(String(target), modules);
}

/**
 * What a pattern says of each module, by its name: keys mean what they mean as targets; a whole name comes first, then the first
 * key that fits, as in PEFT's `rank_pattern`.
 * @throws OnnxError `unknown-module`
 */
export function matchPattern<T>(
  modules: readonly Module[],
  pattern: Readonly<Record<string, T>>,
): Readonly<Record<string, T>> {
  const matched = new Map<string, T>();
  for (const [key, value] of Object.entries(pattern)) {
    for (const { name } of modulesNamed(modules, key)) if (name === key || !matched.has(name)) matched.set(name, value);
  }
  return Object.fromEntries(matched);
}

function refuseTarget(target: string, modules: readonly Module[]): never {
  const endings = [...new Set(modules.map(({ name }) => name.split(".").at(-1)!))];
  throw new OnnxError(
    "unknown-module",
    "targets",
    `${target} names no module of this model`,
    `Choose among ${endings.slice(0, 40).join(", ") || "none: the model has no projection that can be adapted"}`,
  );
}
