import { FormatError } from "../base/errors.js";
import type { LoraFile } from "../picture/lora-file.js";
import { type Combined, combine } from "./combine.js";

/** Everything that the adapters do, one after the other; exact, at the sum of the ranks, or the best of a rank. */
export function addLoras(files: readonly LoraFile[], rank?: number): Combined {
  return weighted(
    files,
    files.map(() => 1),
    rank,
  );
}

/** The mean of what the adapters do, by weights that need not sum to one. @throws FormatError `invalid-argument` */
export function averageLoras(files: readonly LoraFile[], weights = files.map(() => 1), rank?: number): Combined {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (!(sum !== 0 && Number.isFinite(sum))) {
    throw new FormatError("invalid-argument", "weights", `sum to ${sum}`, "Pass weights whose sum is not zero");
  }
  return weighted(
    files,
    weights.map((weight) => weight / sum),
    rank,
  );
}

/** What lies between two adapters: the first at t = 0, the second at t = 1. */
export function interpolateLoras(from: LoraFile, to: LoraFile, t: number, rank?: number): Combined {
  return weighted([from, to], [1 - t, t], rank);
}

/** The best approximation of every module by one rank, with its error. */
export function recompress(file: LoraFile, rank: number): Combined {
  return combine([file], { type: "svd", weights: [1], rank });
}

function weighted(files: readonly LoraFile[], weights: readonly number[], rank: number | undefined): Combined {
  return combine(files, rank === undefined ? { weights } : { weights, type: "svd", rank });
}
