import type { ExampleKind } from "./cycle.js";
import type { Signal } from "./feedback/signal.js";

/** A request as it is kept: the input of a module, and its output without the adapter's share. */
export interface KeptRequest {
  readonly module: string;
  /** [inFeatures] */
  readonly x: Float32Array;
  /** Output minus the adapter's share [outFeatures]. */
  readonly base: Float32Array;
  /** Share of the delta that is let through: the output under the weights of now is base + gate * delta. */
  readonly gate: number;
}

/** A kept request with its feedback: it can be learned from, or checked with, again. */
export interface Example extends KeptRequest {
  readonly signal: Signal;
}

/** What an object costs beside its vectors and texts. */
const OVERHEAD = 128;

/** Bytes that keeping vectors and texts takes. */
export function bytesOf(vectors: readonly Float32Array[], texts: readonly string[]): number {
  const floats = vectors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return OVERHEAD + floats + texts.reduce((sum, { length }) => sum + 2 * length, 0);
}

/** A copy that shares nothing with the caller's arrays. @param spare whose arrays are taken where they fit: new ones cost more */
function copyOf({ module, x, base, gate, signal }: Example, spare?: Example): Example {
  const items = signal.items.map((item, j) => copied(item, spare?.signal.items[j]));
  return {
    module,
    x: copied(x, spare?.x),
    base: copied(base, spare?.base),
    gate,
    signal: { ...signal, items } as Signal,
  };
}

function copied(values: Float32Array, room: Float32Array | undefined): Float32Array {
  if (room?.length !== values.length) return values.slice();
  room.set(values);
  return room;
}

/** How a `Learner` keeps examples and holds them back. */
export const EXAMPLES: ExampleKind<Example> = {
  copyOf,
  bytesOf: ({ module, x, base, signal }) => bytesOf([x, base, ...signal.items], [module]),
  /** A rating's loss moves with the reference of ratings. */
  isConstant: ({ signal }) => signal.kind !== "rating",
  /** A gradient is the one of its moment only. */
  isReusable: ({ signal }) => signal.kind !== "gradient" && signal.kind !== "quality",
};
