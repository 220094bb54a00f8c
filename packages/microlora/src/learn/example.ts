import type { Signal } from "./signal.js";

/** A request as it is kept: what went into a module, and its output without what the adapter added. */
export interface KeptRequest {
  readonly module: string;
  /** [inFeatures] */
  readonly x: Float32Array;
  /** Output minus what the adapter added [outFeatures]. */
  readonly base: Float32Array;
  /** Share of the delta that is let through: the output under the weights of now is base + gate * delta. */
  readonly gate: number;
}

/** A kept request with its feedback: what can be learned from, or checked with, again. */
export interface Example extends KeptRequest {
  readonly signal: Signal;
}

/** What an object costs beside its vectors. */
const OVERHEAD = 128;

/** Bytes that keeping a request takes. */
export function bytesOf({ x, base }: KeptRequest, vectors: readonly Float32Array[] = []): number {
  return OVERHEAD + vectors.reduce((sum, { byteLength }) => sum + byteLength, x.byteLength + base.byteLength);
}

/** Bytes of an example. */
function exampleBytes(example: Example): number {
  return bytesOf(example, example.signal.items);
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

/** How examples are kept and held back: a rating's loss moves with the reference, so it is no constant of the weights. */
export const EXAMPLES = {
  copyOf,
  bytesOf: exampleBytes,
  isConstant: ({ signal }: Example): boolean => signal.kind === "choice",
};
