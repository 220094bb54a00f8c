import { isRank } from "../graph/dim.js";
import type { ValueInfo } from "../graph/ir.js";
import type { Feeds, Sizes } from "../run/feeds.js";
import type { Derivation } from "./derivation-cache.js";

/** Sizes of the symbols of a training graph, for a run of some rows. */
export function symbolsOf(
  { inputs, lossInputs }: Pick<Derivation, "inputs" | "lossInputs">,
  lossFeeds: Feeds,
  sizes: Sizes,
  rows: number,
): Map<string, number> {
  const symbols = new Map(sizes.symbols);
  const dims = new Map([...lossInputs].map(([name, input]) => [input, lossFeeds[name]!.dims]));
  for (const { name, type } of inputs) {
    for (const [axis, dim] of type?.shape?.entries() ?? []) {
      const known = dims.get(name)?.[axis] ?? (isRank(dim) ? 1 : undefined);
      if (typeof dim === "string" && known !== undefined && !symbols.has(dim)) symbols.set(dim, known);
    }
  }
  for (const [symbol, size] of symbols) if (size === sizes.rows && isBatch(inputs, symbol)) symbols.set(symbol, rows);
  return symbols;
}

function isBatch(inputs: readonly ValueInfo[], symbol: string): boolean {
  return inputs.some(({ type }) => type?.shape?.[0] === symbol);
}
