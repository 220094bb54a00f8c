import type * as Formats from "@microlora/formats";
import type { Module, Slice } from "../graft/modules.js";

type LoraFile = Formats.LoraFile;
type LoraTarget = Formats.LoraTarget;

interface Model {
  readonly modules: readonly Module[];
  readonly found: { readonly modules: readonly Module[] };
}

/** A target as the model can take it, and its name in the file, if it is still the same one. */
export interface Placed {
  readonly target: LoraTarget;
  readonly from: string | undefined;
}

/**
 * Brings an adapter of a packed projection (Q, K and V in one) to a model that has its parts, and one of parts to a model that has the
 * packed projection. Both are exact: parts take their rows of B; a packed adapter holds the parts' ranks side by side, zeros elsewhere.
 */
export function placeTargets(formats: typeof Formats, file: LoraFile, model: Model): readonly Placed[] {
  const find = (target: LoraTarget, modules: readonly Module[]): Module | undefined => {
    try {
      const [fitted] = formats.fitToModel({ ...file, targets: [target] }, { modules }).targets;
      return modules.find(({ name }) => name === fitted!.module);
    } catch {
      return undefined;
    }
  };
  const placed: Placed[] = [];
  const packed = new Map<string, { readonly slice: Slice; readonly target: LoraTarget }[]>();
  for (const target of file.targets) {
    const own = find(target, model.modules);
    const known = own ?? find(target, model.found.modules);
    const whole = known?.slice;
    if (own !== undefined || known === undefined) {
      placed.push(...(known === undefined ? splitByName(target, find, model) : [{ target, from: target.module }]));
    } else if (whole !== undefined && model.modules.some(({ name }) => name === whole.of)) {
      packed.set(whole.of, [...(packed.get(whole.of) ?? []), { slice: whole, target }]);
    } else placed.push(...splitBySlices(target, known, model));
  }
  for (const [module, parts] of packed) placed.push({ target: joined(formats, module, parts), from: undefined });
  return placed;
}

/** The parts of a packed adapter where the model has slices of the weight. */
function splitBySlices(target: LoraTarget, whole: Module, { modules }: Model): readonly Placed[] {
  const parts = modules.filter(({ slice }) => slice?.of === whole.name);
  if (parts.length === 0) return [{ target, from: target.module }];
  return parts.map(({ name, slice }) => ({ target: part(target, name, slice!.ranges), from: undefined }));
}

/** How packed projections are called that have their parts one after another, and how these are. */
const PACKED: readonly (readonly [name: RegExp, parts: readonly string[]])[] = [
  [/(^|\.)(qkv_proj|Wqkv|c_attn|in_proj|qkv|attn_qkv)$/, ["q_proj", "k_proj", "v_proj"]],
  [/(^|\.)(gate_up_proj|gate_up|fc1_gate_up)$/, ["gate_proj", "up_proj"]],
];

/** The parts of a packed adapter where the model has weights of their own for them. */
function splitByName(
  target: LoraTarget,
  find: (target: LoraTarget, modules: readonly Module[]) => Module | undefined,
  { modules }: Model,
): readonly Placed[] {
  const [name, parts] = PACKED.find(([pattern]) => pattern.test(target.module)) ?? [];
  const parent = name && target.module.split(".").slice(0, -1);
  const found = parts?.map((each) => find(narrowed(target, [...parent!, each].join("."), modules, each), modules));
  const known = found?.every((each) => each !== undefined) ? (found as readonly Module[]) : undefined;
  const total = known?.reduce((sum, { outFeatures }) => sum + outFeatures, 0);
  if (known === undefined || total !== target.outFeatures) return [{ target, from: target.module }];
  let start = 0;
  return known.map(({ name: module, outFeatures }) => {
    start += outFeatures;
    return { target: part(target, module, [[start - outFeatures, outFeatures]]), from: undefined };
  });
}

/** A target of the width that a part has, to be looked for by its name. */
function narrowed(target: LoraTarget, module: string, modules: readonly Module[], role: string): LoraTarget {
  const alike = modules.find((each) => each.role === role || each.name.endsWith(`.${role}`) || each.name === role);
  const outFeatures = alike?.outFeatures ?? target.outFeatures;
  return { ...target, module, outFeatures, loraB: new Float32Array(target.rank * outFeatures) };
}

function part(target: LoraTarget, module: string, ranges: Slice["ranges"]): LoraTarget {
  const { rank, outFeatures: whole, loraB } = target;
  const outFeatures = ranges.reduce((sum, [, count]) => sum + count, 0);
  const own = new Float32Array(rank * outFeatures);
  for (let r = 0; r < rank; r++) {
    let to = r * outFeatures;
    for (const [start, count] of ranges) {
      own.set(loraB.subarray(r * whole + start, r * whole + start + count), to);
      to += count;
    }
  }
  return { ...target, module, outFeatures, loraB: own };
}

/** One adapter of several parts: their ranks side by side, their scalings in B. */
function joined(
  formats: typeof Formats,
  module: string,
  parts: readonly { readonly slice: Slice; readonly target: LoraTarget }[],
): LoraTarget {
  const [{ target: first, slice }] = parts as [(typeof parts)[number]];
  const rank = parts.reduce((sum, { target }) => sum + target.rank, 0);
  const loraA = new Float32Array(rank * first.inFeatures);
  const loraB = new Float32Array(rank * slice.whole);
  let at = 0;
  for (const { target, slice: own } of parts) {
    loraA.set(target.loraA, at * first.inFeatures);
    const scaling = formats.scalingOf(target);
    for (let r = 0; r < target.rank; r++) {
      let from = r * target.outFeatures;
      for (const [start, count] of own.ranges)
        for (let o = 0; o < count; o++) loraB[(at + r) * slice.whole + start + o] = scaling * target.loraB[from++]!;
    }
    at += target.rank;
  }
  return { ...first, module, rank, alpha: rank, rsLora: false, outFeatures: slice.whole, loraA, loraB };
}
