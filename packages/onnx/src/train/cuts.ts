import { OnnxError } from "../base/errors.js";
import type { Usage } from "./memory.js";

/** The rows of each run. */
export type Cuts = readonly (readonly [from: number, to: number])[];

/**
 * Bytes that a node may make on average before a batch is cut for speed: what a node makes is then still in the processor's cache
 * when the next one takes it. Batches of MiniLM and of SmolLM2-135M are fastest in parts of 1 to 2 MB, 250 to 1,000 tokens.
 */
const CACHED = 2.25e6;

interface Batch {
  readonly rows: number;
  /** Rows that belong together, undefined if all do. */
  readonly group: number | undefined;
  /** Whether it is certain that rows can be computed apart. */
  readonly isRowwise: boolean;
  readonly memoryLimit: number;
  /** What a run of some rows takes. */
  usageOf(rows: number): Usage;
}

/** The whole batch at once if it fits into the memory and the cache, else as many rows as do. @throws OnnxError `out-of-memory` */
export function cutsThatFit({ rows, group, isRowwise, memoryLimit, usageOf }: Batch): Cuts {
  for (let part = rows; ; part = Math.ceil(part / 2 / group) * group) {
    const { peak, mean } = usageOf(part);
    const isLeast = group === undefined || part <= group;
    if (peak <= memoryLimit && (isLeast || !isRowwise || mean <= CACHED)) return cutsOf(rows, group, part);
    if (isLeast) refuseMemory(peak, memoryLimit, part);
  }
}

/** @throws OnnxError `out-of-range` for parts that cut what belongs together */
export function cutsOf(rows: number, group: number | undefined, microBatch: number): Cuts {
  if (microBatch >= rows) return [[0, rows]];
  if (group === undefined || !Number.isInteger(microBatch) || microBatch < 1 || microBatch % group !== 0) {
    const remedy =
      group === undefined ? "Leave it out: this loss compares rows with one another" : `Pass a multiple of ${group}`;
    throw new OnnxError("out-of-range", "microBatch", `is ${microBatch}`, remedy);
  }
  const count = Math.ceil(rows / microBatch);
  return Array.from({ length: count }, (_, i) => [i * microBatch, Math.min(rows, (i + 1) * microBatch)] as const);
}

/** Refuses to cut a batch whose rows are not in front of the outputs. */
export function refuseMicroBatch(microBatch: number): never {
  const remedy = "Leave it out: the outputs of this model have not the rows of the batch in front";
  throw new OnnxError("out-of-range", "microBatch", `is ${microBatch}`, remedy);
}

function refuseMemory(bytes: number, limit: number, rows: number): never {
  const mega = (size: number) => `${Math.ceil(size / 2 ** 20)} MB`;
  throw new OnnxError(
    "out-of-memory",
    "feeds",
    `${rows} ${rows === 1 ? "row" : "rows"} would take ${mega(bytes)} for activations, and there are ${mega(limit)}`,
    "Pass fewer rows or shorter ones, or raise memoryLimit",
  );
}
