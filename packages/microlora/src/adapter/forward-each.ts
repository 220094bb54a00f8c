import { checkFloats } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import { LoraAdapter } from "./lora-adapter.js";
import { refuseInput } from "./refuse-input.js";
import { shapeOf } from "./spec.js";

/**
 * Adds to each row of a batch the delta of that row's own adapter, in one kernel call.
 * @param adapters one per row, null for a row that stays as it is; all of one shape and in one runtime
 * @param x [rows, inFeatures]; @param output [rows, outFeatures], untouched if anything is refused
 * @throws MicroLoraError `shape-mismatch`, `not-finite`, `disposed`
 */
export function forwardEach(adapters: readonly (LoraAdapter | null)[], x: Float32Array, output: Float32Array): void {
  forwardEachScaled(adapters, undefined, x, output);
}

/** As `forwardEach`, with a factor for each row's delta, though not for its bias. */
export function forwardEachScaled(
  adapters: readonly (LoraAdapter | null)[],
  factors: readonly number[] | undefined,
  x: Float32Array,
  output: Float32Array,
): void {
  const first = checkList(adapters, "adapters").find(isAdapter);
  if (first === undefined) return;
  const { runtime } = first;
  const shape = shapeOf(first.spec);
  const rows = adapters.length;
  checkFloats(x, rows * shape.inFeatures, "x");
  checkFloats(output, rows * shape.outFeatures, "output");
  const { f32, u32, scratch } = runtime;
  runtime.reserveScratch({
    rows: 2 * rows,
    input: scratch.input.find(x) === 0 ? x.length : 0,
    intermediate: rows * shape.rank,
    output: scratch.output.find(output) === 0 ? output.length : 0,
  });
  const table = scratch.rows.reserve(2 * rows);
  for (let row = 0; row < rows; row++) {
    const adapter = adapters[row]!;
    const at = (table >>> 2) + 2 * row;
    const given = isAdapter(adapter, row);
    u32[at] = given ? adapter.parametersFor(first) : 0;
    f32[at + 1] = given ? adapter.scaling * (factors?.[row] ?? 1) : 0;
  }
  const input = scratch.input.place(x);
  const u = scratch.intermediate.reserve(rows * shape.rank);
  const y = scratch.output.place(output);
  const refused = first.kernels.forwardEach(table, input, u, y, rows);
  if (refused !== -1) refuseInput(x, refused, shape.inFeatures);
  scratch.output.giveBack(output, y);
}

/** Whether a row has an adapter. @throws MicroLoraError `shape-mismatch` where it has neither one nor null */
function isAdapter(adapter: LoraAdapter | null, row: number): adapter is LoraAdapter {
  if (adapter === null) return false;
  return checkAdapter(adapter, `adapters[${row}]`);
}

/** @throws MicroLoraError `shape-mismatch` */
export function checkAdapter(adapter: LoraAdapter, where: string): true {
  return adapter instanceof LoraAdapter || refuse(adapter, where);
}

/** @throws MicroLoraError `shape-mismatch` */
export function checkList<T>(list: readonly T[], where: string): readonly T[] {
  return Array.isArray(list) ? list : refuse(list, where);
}

function refuse(value: unknown, where: string): never {
  const remedy = "Pass a list of what `getAdapter` gives, with null or an empty list where there is none";
  throw refusal("shape-mismatch", where, `is ${shown(value)}`, remedy);
}
