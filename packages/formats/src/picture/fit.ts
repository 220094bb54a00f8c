import { FormatError } from "../base/errors.js";
import { checkLoraFile, type LoraFile, type LoraTarget } from "./lora-file.js";
import { type ProjectionRole, roleOfPath } from "./role-of-path.js";

/** A module of a model, as `LoraModel.modules` of `@microlora/onnx` has them. */
export interface ModelModule {
  /** Path of the module in the model. */
  readonly name: string;
  /** Its role, by Llama's name: `q_proj` for a module called `query`. */
  readonly role?: string | undefined;
  /** Width of the input. */
  readonly inFeatures: number;
  /** Width of the output. */
  readonly outFeatures: number;
}

/** A model that an adapter is brought to, such as a `LoraModel` of `@microlora/onnx`. */
export interface ModelToFit {
  /** The modules of the model. */
  readonly modules: readonly ModelModule[];
  /** What tells this base model from others; an adapter that carries another one is refused. */
  readonly fingerprint?: string;
}

/**
 * The same adapters under the names that a model has for their modules, and made for that model:
 * `MicroLora.fromState(toMicroLora(fitToModel(file, model)))`. A path means the module of that path; else the one whose
 * path agrees with it from the end up to, at least, the number of the layer (`transformer.h.0.attn` for `h.0.attn`); else,
 * where a graph has lost its names, the module of the same role in the layer of that number.
 * @throws FormatError `unknown-module` with all that match no module, or several; `duplicate-name`, `bad-shape`, `wrong-base`
 */
export function fitToModel(file: LoraFile, { modules, fingerprint }: ModelToFit): LoraFile {
  if (fingerprint !== undefined) checkBase(file, fingerprint);
  const places = placesOf(modules);
  const found = file.targets.map((target) => [target, findModule(places, target.module)] as const);
  const lost = found.flatMap(([{ module }, place]) => (place === undefined ? [module] : []));
  if (lost.length > 0) refuseLost(lost, modules);
  return checkLoraFile({
    ...file,
    ...(fingerprint !== undefined && { baseModel: fingerprint }),
    targets: found.map(([target, place]) => fitted(target, place!)),
  });
}

/** From a module's path to the one of these names that means it, by the rules of `fitToModel` for paths. */
export function moduleFinder(names: readonly string[]): (path: string) => string | undefined {
  const places = placesOf(names.map((name) => ({ name, role: roleOfPath(name), inFeatures: 0, outFeatures: 0 })));
  return (path) => findModule(places, path)?.name;
}

/** The last parts of the modules' paths, as `targets` of `openModel` takes them: `["q_proj", "v_proj"]`. */
export function targetNames({ targets }: LoraFile): readonly string[] {
  return [...new Set(targets.map(({ module }) => module.slice(module.lastIndexOf(".") + 1)))];
}

/** Fingerprints of one scheme can be compared. A model's name or path says nothing about its weights. */
function checkBase({ baseModel }: LoraFile, fingerprint: string): void {
  const scheme = fingerprint.slice(0, fingerprint.indexOf(":") + 1);
  if (baseModel === null || baseModel === fingerprint || scheme === "" || !baseModel.startsWith(scheme)) return;
  const problem = `was made for ${baseModel}, and this model is ${fingerprint}`;
  throw new FormatError("wrong-base", "adapter", problem, "Use it with its own base model");
}

function fitted(target: LoraTarget, { name, inFeatures, outFeatures }: ModelModule): LoraTarget {
  if (target.inFeatures === inFeatures && target.outFeatures === outFeatures) return { ...target, module: name };
  const problem = `is ${target.inFeatures} to ${target.outFeatures}, and the model's ${name} ${inFeatures} to ${outFeatures}`;
  throw new FormatError("bad-shape", target.module, problem, "Use the model that the adapter was trained on");
}

/** A module, and its path in parts. */
interface Place {
  readonly module: ModelModule;
  readonly parts: readonly string[];
}

/** The modules by the last parts of their paths, so that each name is compared with few; and by layer and role. */
interface Places {
  readonly byEnd: ReadonlyMap<string, readonly Place[]>;
  readonly byRole: ReadonlyMap<string, readonly Place[]>;
}

function placesOf(modules: readonly ModelModule[]): Places {
  const places = modules.map((module) => ({ module, parts: module.name.split(".") }));
  return {
    byEnd: grouped(places, ({ parts }) => parts.at(-1)!),
    byRole: grouped(places, ({ module, parts }) => layerAndRole(parts, module.role)),
  };
}

function grouped(places: readonly Place[], keyOf: (place: Place) => string): ReadonlyMap<string, readonly Place[]> {
  const groups = new Map<string, Place[]>();
  for (const place of places) {
    const group = groups.get(keyOf(place));
    if (group === undefined) groups.set(keyOf(place), [place]);
    else group.push(place);
  }
  return groups;
}

function layerAndRole(parts: readonly string[], role: string | undefined): string {
  return `${parts.find(isNumber) ?? ""} ${role ?? ""}`;
}

function findModule({ byEnd, byRole }: Places, path: string): ModelModule | undefined {
  const parts = path.split(".");
  const lengths = (byEnd.get(parts.at(-1)!) ?? []).map((place) => [place, commonEnd(parts, place.parts)] as const);
  const most = lengths.reduce((max, [, length]) => Math.max(max, length), 0);
  const longest = lengths.filter(([, length]) => length === most).map(([place]) => place);
  const exact = longest.find((place) => place.parts.length === most && parts.length === most);
  if (exact !== undefined) return exact.module;
  const near = longest.filter((place) => agree(parts, place.parts, most));
  if (near.length > 0) return near.length === 1 ? near[0]!.module : undefined;
  const role: ProjectionRole | undefined = roleOfPath(path);
  const alike = role === undefined ? [] : (byRole.get(layerAndRole(parts, role)) ?? []);
  return alike.length === 1 ? alike[0]!.module : undefined;
}

/** Whether the last parts that two paths share are enough: all of the first path, or all that tells layers apart. */
function agree(path: readonly string[], other: readonly string[], shared: number): boolean {
  if (shared === path.length) return true;
  const isLayerLost = [path, other].some((parts) => parts.slice(0, -shared).some(isNumber));
  return !isLayerLost && (shared === other.length || shared > 1);
}

function isNumber(part: string): boolean {
  return /^\d+$/.test(part);
}

/** How many of the last parts two paths share. */
function commonEnd(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a.at(-1 - length) === b.at(-1 - length)) length++;
  return length;
}

function refuseLost(lost: readonly string[], modules: readonly ModelModule[]): never {
  throw new FormatError(
    "unknown-module",
    listed(lost),
    `${lost.length === 1 ? "names" : "name"} no single module of the model, which has ${listed(modules.map(({ name }) => name))}`,
    "Use the model that the adapter was trained on, open it with these targets, or rename modules",
  );
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 4).join(", ");
  return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown || "none";
}
