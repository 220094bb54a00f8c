// The kernels of one adapter: `AdapterKernels` of the contract, with the shape as the last arguments.

import { project, projectWithSquares } from "./dot";
import { expand, expandAdd } from "./expand";
import { FLOAT, rowEnd } from "./lanes";
import { updateRowEwc, updateRow, updateRowTracked, updateRowTrackedEwc } from "./update";
import { sumSquares } from "./vector";

// @ts-ignore: decorator
@inline
function columnB(w: usize, rank: i32, inFeatures: i32): usize {
  return rowEnd(w, rank * inFeatures);
}

export function forward(
  w: usize, x: usize, u: usize, y: usize, scaling: f64, rank: i32, inFeatures: i32, outFeatures: i32, bias: i32,
): i32 {
  if (!project(w, x, u, rank, inFeatures)) return 0;
  expand(columnB(w, rank, inFeatures), u, FLOAT, y, rank, outFeatures, bias, <f32>scaling);
  return 1;
}

export function forwardAdd(
  w: usize, x: usize, u: usize, y: usize, scaling: f64, rank: i32, inFeatures: i32, outFeatures: i32, bias: i32,
): i32 {
  if (!project(w, x, u, rank, inFeatures)) return 0;
  expandAdd(columnB(w, rank, inFeatures), u, FLOAT, y, rank, outFeatures, bias, <f32>scaling);
  return 1;
}

export function forwardEach(
  table: usize, x: usize, u: usize, y: usize, rows: i32, rank: i32, inFeatures: i32, outFeatures: i32, bias: i32,
): i32 {
  for (let i = 0; i < rows; i++) {
    const w = <usize>i32.load(table + (<usize>i << 3));
    if (w != 0 && !project(w, rowEnd(x, i * inFeatures), rowEnd(u, i * rank), rank, inFeatures)) return i;
  }
  for (let i = 0; i < rows; i++) {
    const w = <usize>i32.load(table + (<usize>i << 3));
    const scaling = f32.load(table + (<usize>i << 3), 4);
    const yi = rowEnd(y, i * outFeatures), ui = rowEnd(u, i * rank);
    if (w != 0) expandAdd(columnB(w, rank, inFeatures), ui, FLOAT, yi, rank, outFeatures, bias, scaling);
  }
  return -1;
}

export function measure(
  w: usize, x: usize, g: usize, u: usize, v: usize, norms: usize, hasU: i32,
  rank: i32, inFeatures: i32, outFeatures: i32,
): void {
  if (hasU) f32.store(norms, <f32>sumSquares(x, inFeatures));
  else projectWithSquares(w, x, u, norms, rank, inFeatures);
  projectWithSquares(columnB(w, rank, inFeatures), g, v, norms + FLOAT, rank, outFeatures);
}

/** The step of one row of parameters whose gradient is c * x; null pointers leave out what they stand for. */
// @ts-ignore: decorator
@inline
function row(
  w: usize, x: usize, n: i32, c: f64, rate: f64,
  running: usize, root: f64, decay: f32, fisher: usize, anchor: usize, penalty: f32,
): void {
  const k = <f32>(rate * c), s = <f32>(root * c);
  if (fisher) {
    if (running) updateRowTrackedEwc(w, x, n, k, running, s, decay, fisher, anchor, penalty);
    else updateRowEwc(w, x, n, k, fisher, anchor, penalty);
  } else if (running) updateRowTracked(w, x, n, k, running, s, decay);
  else updateRow(w, x, n, k);
}

export function step(
  w: usize, x: usize, g: usize, u: usize, v: usize, scaling: f64, rate: f64,
  running: usize, decay: f64, fisher: usize, anchor: usize, penalty: f64,
  rank: i32, inFeatures: i32, outFeatures: i32, bias: i32,
): void {
  const root = Math.sqrt(1 - decay);
  const rows = 2 * rank + bias;
  for (let j = 0; j < rows; j++) {
    const isA = j < rank;
    const n = isA ? inFeatures : outFeatures;
    const c = isA
      ? scaling * <f64>f32.load(rowEnd(v, j))
      : j < 2 * rank ? scaling * <f64>f32.load(rowEnd(u, j - rank)) : 1;
    row(w, isA ? x : g, n, c, rate, running, root, <f32>decay, fisher, anchor, <f32>penalty);
    const bytes = <usize>n << 2;
    w += bytes;
    if (running) running += bytes;
    if (fisher) {
      fisher += bytes;
      anchor += bytes;
    }
  }
}
