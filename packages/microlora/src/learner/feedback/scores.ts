import { checkAllFinite, checkRange } from "../../base/check.js";
import { norm, writeUnit } from "../../base/unit.js";
import type { Pointer } from "../../kernels/contract.js";
import type { Runtime } from "../../kernels/runtime.js";

/** How near an output is to a candidate: y . d, or y . d / (|y| |d|). */
export type ScoreName = "dot" | "cosine";

/** Candidates in the runtime's memory. */
export interface Items {
  readonly pointers: readonly Pointer[];
  /** What each is divided by: its length for `cosine`, 1 for `dot`. */
  readonly lengths: Float64Array;
  /** Room for their scores, for scores with something added, and for dLoss/dScore. */
  readonly scores: Float64Array;
  readonly sums: Float64Array;
  readonly slopes: Float64Array;
}

/** As many candidates at most have room that is kept; for more, it is made anew. */
const REUSED = 256;

/** Items by their number, reused by every call: good until the next one. */
const reused = new Map<number, Items & { readonly pointers: Pointer[] }>();

function itemsOf(count: number): Items & { readonly pointers: Pointer[] } {
  let items = reused.get(count);
  if (items === undefined) {
    const numbers = () => new Float64Array(count);
    items = {
      pointers: new Array<Pointer>(count).fill(0),
      lengths: numbers(),
      scores: numbers(),
      sums: numbers(),
      slopes: numbers(),
    };
    if (count <= REUSED) reused.set(count, items);
  }
  return items;
}

/** Candidates where they are, if that is the memory already, or copied. @throws MicroLoraError `not-finite`, `out-of-range` */
export function placeItems(runtime: Runtime, name: ScoreName, items: readonly Float32Array[], n: number): Items {
  const { kernels, f32, scratch } = runtime;
  const copies = scratch.output.reserve(items.length * n);
  const placed = itemsOf(items.length);
  for (let j = 0; j < items.length; j++) {
    const item = items[j]!;
    let pointer = item.byteOffset;
    if (item.buffer !== runtime.buffer) {
      pointer = copies + 4 * j * n;
      f32.set(item, pointer >>> 2);
    }
    let squares = kernels.sumSquares(pointer, n);
    if (!(squares <= LARGEST_SQUARES)) {
      checkAllFinite(item, `items[${j}]`);
      checkRange(norm(item), 0, Math.sqrt(LARGEST_SQUARES), `length of items[${j}]`);
    }
    if (name === "cosine" && squares < SMALLEST_SQUARES) {
      pointer = copies + 4 * j * n;
      writeUnit(item, f32, pointer >>> 2, `items[${j}]`);
      squares = kernels.sumSquares(pointer, n);
    }
    placed.lengths[j] = name === "cosine" ? Math.sqrt(squares) || 1 : 1;
    placed.pointers[j] = pointer;
  }
  return placed;
}

/** Sum of squares up to which float32 holds a vector's products with others. */
const LARGEST_SQUARES = 1e37;

/** Sum of squares below which float32 loses digits of a cosine. */
const SMALLEST_SQUARES = 1e-30;

/** Length of an output, for `cosine`; 1 for `dot` and for zero. @throws MicroLoraError `out-of-range` where it is too small to tell */
function lengthOf(runtime: Runtime, name: ScoreName, y: Pointer, n: number): number {
  if (name === "dot") return 1;
  const squares = runtime.kernels.sumSquares(y, n);
  if (squares >= SMALLEST_SQUARES) return Math.sqrt(squares);
  const length = norm(runtime.view(y, n));
  if (length > 0) checkRange(length, Math.sqrt(SMALLEST_SQUARES), Number.MAX_VALUE, "length of the output");
  return 1;
}

/**
 * The scores of candidates for an output y.
 * @param y [n]; @param scores written
 */
export function scoreItems(
  runtime: Runtime,
  name: ScoreName,
  y: Pointer,
  n: number,
  { pointers, lengths }: Items,
  scores: Float64Array,
): void {
  const { kernels, f32, scratch } = runtime;
  const score = scratch.rows.reserve(1);
  const length = lengthOf(runtime, name, y, n);
  for (let j = 0; j < pointers.length; j++) {
    kernels.project(pointers[j]!, y, score, 1, n);
    scores[j] = f32[score >>> 2]! / (length * lengths[j]!);
  }
}

/**
 * dLoss/dy from dLoss/dScore. With h = sum_j dLoss/ds_j d_j it is h for `dot`. For `cosine`, with unit candidates d_j^ and y^ = y / |y|,
 * it is (h - (h . y^) y^) / |y|, where h = sum_j dLoss/ds_j d_j^ and h . y^ = sum_j dLoss/ds_j s_j.
 * @param scores what `scoreItems` gave; @param slopes dLoss/dScore; @param gradient [n], written
 */
export function backThroughScores(
  runtime: Runtime,
  name: ScoreName,
  y: Pointer,
  n: number,
  { pointers, lengths }: Items,
  scores: Float64Array,
  slopes: Float64Array,
  gradient: Pointer,
): void {
  const { kernels, f32, scratch } = runtime;
  const coefficient = scratch.rows.reserve(1);
  const length = lengthOf(runtime, name, y, n);
  f32.fill(0, gradient >>> 2, (gradient >>> 2) + n);
  let along = 0;
  for (let j = 0; j < pointers.length; j++) {
    along += slopes[j]! * scores[j]!;
    f32[coefficient >>> 2] = slopes[j]! / (length * lengths[j]!);
    kernels.expandAdd(coefficient, pointers[j]!, gradient, 1, n);
  }
  if (name === "dot") return;
  f32[coefficient >>> 2] = -along / (length * length);
  kernels.expandAdd(coefficient, y, gradient, 1, n);
}
