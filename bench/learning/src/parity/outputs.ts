import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { figuresOf } from "../metrics.js";
import { RESULTS } from "../results.js";
import type { Matrix } from "../trial.js";
import type { ParityRun } from "./ours.js";

/** What `avalanche/parity.py` prints. */
export interface AvalancheOutputs {
  readonly cases: Readonly<Record<string, string>>;
  readonly runs: Readonly<Record<string, Readonly<Record<string, AvalancheRun>>>>;
}

interface AvalancheRun {
  /** Accuracy on each task after each session. */
  readonly matrix: Matrix;
  readonly acc: number;
  readonly bwt: number;
  readonly forgetting: number;
}

interface Pair {
  readonly ours: number;
  readonly theirs: number;
}

/** One mode and seed on both sides. */
export interface ParityRow {
  readonly mode: string;
  readonly seed: number;
  readonly acc: Pair;
  readonly bwt: Pair;
  /** Largest difference between two accuracies of the matrices. */
  readonly worst: number;
  /** Largest learningRate * lambda * fisher, which ours counts as 1 where it is more. */
  readonly largestPull: number;
}

const FILE = join(RESULTS, "parity.json");

export function compare(
  mode: string,
  seed: number,
  { matrix, largestPull }: ParityRun,
  theirs: AvalancheRun,
): ParityRow {
  const { acc, bwt } = figuresOf(matrix);
  const differences = theirs.matrix.flatMap((row, session) =>
    row.map((accuracy, task) => Math.abs(accuracy - matrix[session + 1]![task]!)),
  );
  return {
    mode,
    seed,
    acc: { ours: acc, theirs: theirs.acc },
    bwt: { ours: bwt, theirs: theirs.bwt },
    worst: Math.max(...differences),
    largestPull,
  };
}

export function saveParity(rows: readonly ParityRow[]): void {
  writeFileSync(FILE, `[\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(",\n")}\n]\n`);
}

export function loadParity(): readonly ParityRow[] | null {
  return existsSync(FILE) ? JSON.parse(readFileSync(FILE, "utf8")) : null;
}
