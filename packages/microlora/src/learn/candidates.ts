import { checkFloats } from "../base/check.js";
import { MicroLoraError } from "../base/errors.js";
import { writeUnit } from "../base/unit.js";
import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";

/** What a click offers: documents by id, where an index finds them, or by vector. */
export interface Candidates<Id> {
  readonly chosen: Id | Float32Array;
  readonly shown: readonly (Id | Float32Array)[];
  readonly index?: {
    readonly dimensions: number;
    readonly runtime: Runtime;
    pointerOf(id: Id): Pointer;
    viewOf(id: Id): Float32Array;
  };
}

/**
 * Unit vectors of everything that was shown, and which of them was chosen; vectors are copied to scratch memory, what
 * an index of the same runtime holds stays where it is.
 * @throws MicroLoraError `not-shown`, `unknown-document`, `shape-mismatch`, `not-finite`, `invalid-config`
 */
export function candidatesOf<Id extends string | number>(
  { chosen, shown, index }: Candidates<Id>,
  runtime: Runtime,
  dimensions: number,
): { documents: Pointer[]; chosen: number } {
  const at = shown.findIndex((item) => item === chosen || (isVector(item) && isVector(chosen) && equal(item, chosen)));
  if (at === -1) {
    throw new MicroLoraError(
      "not-shown",
      "chosen",
      "is not among `shown`",
      "Pass everything that was shown, the chosen one too",
    );
  }
  const copies = runtime.scratch.output.reserve(shown.length * dimensions);
  const documents = shown.map((item, j) => {
    if (!isVector(item)) return pointerOf(item, index, runtime, dimensions);
    checkFloats(item, dimensions, `shown[${j}]`);
    writeUnit(item, runtime.f32, (copies >>> 2) + j * dimensions, `shown[${j}]`);
    return copies + 4 * j * dimensions;
  });
  return { documents, chosen: at };
}

/** A candidate as a vector: its own, or a view of what the index holds of it. @throws MicroLoraError */
export function vectorOf<Id extends string | number>(
  item: Id | Float32Array,
  index: Candidates<Id>["index"],
  runtime: Runtime,
  dimensions: number,
): Float32Array {
  if (isVector(item)) return item;
  pointerOf(item, index, runtime, dimensions);
  return index!.viewOf(item);
}

function pointerOf<Id>(id: Id, index: Candidates<Id>["index"], runtime: Runtime, dimensions: number): Pointer {
  if (index?.runtime === runtime && index.dimensions === dimensions) return index.pointerOf(id);
  const problem = index === undefined ? "is missing" : "is of another runtime or another width";
  throw new MicroLoraError("invalid-config", "index", problem, "Pass the index that the ids belong to, or vectors");
}

function isVector(item: unknown): item is Float32Array {
  return typeof item === "object" && item !== null;
}

function equal(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
