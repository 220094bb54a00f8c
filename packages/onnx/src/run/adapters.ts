import type { LoraAdapter, MicroLora } from "microlora";
import { refuseArgument } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import { floats, type HostTensor } from "../base/host-tensor.js";
import type { Port } from "../graft/graft.js";
import type { Module, Slice } from "../graft/modules.js";
import type { Sizes } from "./feeds.js";

/** Who serves the rows of a batch: one adapter for all, one for each row, or the base model itself. */
export type Adapters = MicroLora | null | readonly (MicroLora | null)[];

/** The gradient of one module's A and B, in the layout of `LoraAdapter`. */
export interface ModuleGradient {
  /** dLoss/dA [rank, inFeatures] */
  readonly loraA: Float32Array;
  /** dLoss/dB [rank, outFeatures] */
  readonly loraB: Float32Array;
  /** Mean over the examples of the batch of their own squared gradients; where `examples` was asked for. */
  readonly squares?: { readonly loraA: Float32Array; readonly loraB: Float32Array };
}

/** Gradients of one adapter, by module. */
export type AdapterGradients = ReadonlyMap<string, ModuleGradient>;

/**
 * One adapter for each row of A and B, checked.
 * @throws OnnxError `invalid-argument`, `shape-mismatch`, `wrong-base`, `unknown-module`
 */
export function rowsOf(
  adapters: Adapters | undefined,
  sizes: Sizes,
  ports: readonly Port[],
  baseModel: string,
): readonly (MicroLora | null)[] {
  const { rows } = sizes;
  const list: readonly (MicroLora | null)[] = Array.isArray(adapters)
    ? adapters
    : [(adapters as MicroLora | null) ?? null];
  if (Array.isArray(adapters) && list.length !== rows) {
    const remedy = "Pass one adapter, or one for each row";
    throw new OnnxError("shape-mismatch", "adapters", `are ${list.length}, for ${rows} rows`, remedy);
  }
  for (const adapter of new Set(list)) if (adapter !== null) checkAdapter(adapter, ports, baseModel);
  if (list.every((adapter) => adapter === list[0])) return list.slice(0, 1);
  const mixed = ports.find((port) => !keepsRows(port, sizes));
  if (mixed === undefined) return list;
  throw new OnnxError(
    "shape-mismatch",
    "adapters",
    `differ between rows, but ${mixed.modules[0]!.name} does not keep the rows of the batch apart`,
    "Run with one adapter at a time, or leave that module out of the targets",
  );
}

/** Whether each row of a batch can have an adapter of its own at a port. */
export function keepsRows({ batch }: Port, { rows, symbols }: Sizes): boolean {
  return (typeof batch === "string" ? symbols.get(batch) : batch) === rows;
}

function checkAdapter(adapter: MicroLora, ports: readonly Port[], baseModel: string): void {
  if (typeof adapter?.getAdapter !== "function")
    refuseArgument("adapters", adapter, "Pass a MicroLora, null for the base model, or a list of these");
  const { config } = adapter;
  if (config.baseModel !== null && config.baseModel !== baseModel) {
    throw new OnnxError(
      "wrong-base",
      "adapters",
      `one was made for ${config.baseModel}, and this model is ${baseModel}`,
      "Use it with its own base model",
    );
  }
  if (config.bias) throw new OnnxError("unsupported-type", "adapters", "one has a bias", "Make it with bias: false");
  const modules = new Map(ports.flatMap((port) => port.modules.map((module) => [module.name, module])));
  for (const { module, inFeatures, outFeatures } of config.modules) {
    const known = modules.get(module);
    if (known === undefined) {
      throw new OnnxError(
        "unknown-module",
        "adapters",
        `one has ${module}, which is no target of this model`,
        "Open the model with that target",
      );
    }
    if (known.inFeatures === inFeatures && known.outFeatures === outFeatures) continue;
    const widths = `${known.inFeatures} to ${known.outFeatures}`;
    throw new OnnxError(
      "shape-mismatch",
      "adapters",
      `${module} is ${inFeatures} to ${outFeatures}, not ${widths}`,
      "Make it with createAdapter",
    );
  }
}

/**
 * A and B of every port for these adapters, as they are now: lower ranks padded with zeros, the scaling in B, and slices at their
 * place in the whole weight.
 */
export function adapterFeeds(ports: readonly Port[], rows: readonly (MicroLora | null)[]): Record<string, HostTensor> {
  const feeds: Record<string, HostTensor> = {};
  for (const port of ports) {
    const rank = widestRank(port, rows);
    const a = new Float32Array(rows.length * port.inFeatures * rank);
    const b = new Float32Array(rows.length * rank * port.outFeatures);
    for (const [row, adapter] of rows.entries()) {
      let first = 0;
      for (const [module, lora] of partsOf(port, adapter)) {
        packA(a.subarray(row * port.inFeatures * rank), lora, rank, first);
        packB(b.subarray((row * rank + first) * port.outFeatures), lora, port.outFeatures, module.slice);
        first += lora.rank;
      }
    }
    const leading = port.hasRows ? [rows.length] : [];
    feeds[port.loraA] = floats(a, [...leading, port.inFeatures, rank]);
    feeds[port.loraB] = floats(b, [...leading, rank, port.outFeatures]);
  }
  return feeds;
}

function widestRank(port: Port, rows: readonly (MicroLora | null)[]): number {
  return Math.max(1, ...new Set(rows.map((adapter) => rankOf(port, adapter))));
}

/**
 * Gradients of the fed A and B as gradients of the adapters. Rows that share an adapter are added up.
 * @param ports those whose gradients are known; a gradient that is not there is zero
 * @param rows those that A and B were fed for
 * @param part the rows that are added up: all of them by default
 */
export function adapterGradients(
  ports: readonly Port[],
  rows: readonly (MicroLora | null)[],
  gradientOf: (input: string) => HostTensor | undefined,
  part: readonly [from: number, to: number] = [0, rows.length],
): Map<MicroLora, Map<string, ModuleGradient>> {
  const all = new Map<MicroLora, Map<string, ModuleGradient>>();
  for (let row = part[0]; row < part[1]; row++) {
    const adapter = rows[row] ?? null;
    if (adapter !== null && !all.has(adapter)) all.set(adapter, new Map());
  }
  for (const port of ports) {
    const a = gradientOf(port.loraA)?.data as Float32Array | undefined;
    const b = gradientOf(port.loraB)?.data as Float32Array | undefined;
    const rank = widestRank(port, rows);
    for (let row = part[0]; row < part[1]; row++) {
      const adapter = rows[row] ?? null;
      let first = 0;
      for (const [module, lora] of partsOf(port, adapter)) {
        const sums = all.get(adapter!)!;
        const sum = sums.get(module.name) ?? zeroGradient(lora);
        sums.set(module.name, sum);
        if (a !== undefined) addA(sum.loraA, a.subarray(row * port.inFeatures * rank), lora, rank, first);
        if (b !== undefined)
          addB(sum.loraB, b.subarray((row * rank + first) * port.outFeatures), lora, port.outFeatures, module.slice);
        first += lora.rank;
      }
    }
  }
  return all;
}

function zeroGradient({ rank, inFeatures, outFeatures }: LoraAdapter): ModuleGradient {
  return { loraA: new Float32Array(rank * inFeatures), loraB: new Float32Array(rank * outFeatures) };
}

/** The modules of a port that an adapter has, which lie one after the other in its rank. */
function partsOf(port: Port, adapter: MicroLora | null): readonly (readonly [Module, LoraAdapter])[] {
  if (adapter === null || !adapter.enabled) return [];
  return port.modules.flatMap((module) => {
    const lora = adapter.getAdapter(module.name);
    return lora === undefined ? [] : [[module, lora] as const];
  });
}

function rankOf(port: Port, adapter: MicroLora | null): number {
  return partsOf(port, adapter).reduce((sum, [, { rank }]) => sum + rank, 0);
}

/** [rank, in] of the adapter into columns `first` and on of [in, rank]. */
function packA(target: Float32Array, { loraA, rank, inFeatures }: LoraAdapter, width: number, first: number): void {
  for (let r = 0; r < rank; r++) {
    for (let i = 0, at = first + r; i < inFeatures; i++, at += width) target[at] = loraA[r * inFeatures + i]!;
  }
}

function addA(
  sum: Float32Array,
  gradient: Float32Array,
  { rank, inFeatures }: LoraAdapter,
  width: number,
  first: number,
): void {
  for (let r = 0; r < rank; r++) {
    for (let i = 0, at = first + r; i < inFeatures; i++, at += width) sum[r * inFeatures + i]! += gradient[at]!;
  }
}

/** [rank, out] of the adapter, times its scaling, into [rank, whole], which has `width` columns. */
function packB(target: Float32Array, lora: LoraAdapter, width: number, slice: Slice | undefined): void {
  const { loraB, rank, outFeatures, scaling } = lora;
  for (let r = 0; r < rank; r++) {
    let from = r * outFeatures;
    for (const [start, count] of slice?.ranges ?? [[0, outFeatures] as const]) {
      for (let o = r * width + start, end = o + count; o < end; o++) target[o] = scaling * loraB[from++]!;
    }
  }
}

function addB(
  sum: Float32Array,
  gradient: Float32Array,
  lora: LoraAdapter,
  width: number,
  slice: Slice | undefined,
): void {
  const { rank, outFeatures, scaling } = lora;
  for (let r = 0; r < rank; r++) {
    let to = r * outFeatures;
    for (const [start, count] of slice?.ranges ?? [[0, outFeatures] as const]) {
      for (let o = r * width + start, end = o + count; o < end; o++) sum[to++]! += scaling * gradient[o]!;
    }
  }
}
