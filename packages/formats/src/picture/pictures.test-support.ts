import { expect } from "vitest";
import { floats, uniformFrom } from "../../../microlora/src/base/samples.test-support.js";
import { type LoraFile, type LoraTarget, PLAIN_FILE, scalingOf } from "./lora-file.js";

export { floats, uniformFrom };

/** A target with random weights. */
export function sampleTarget(module: string, seed: number, fields: Partial<LoraTarget> = {}): LoraTarget {
  const { rank = 2, inFeatures = 5, outFeatures = 3 } = fields;
  return {
    module,
    kind: "linear",
    rank,
    inFeatures,
    outFeatures,
    alpha: 4,
    rsLora: false,
    loraA: floats(rank * inFeatures, seed),
    loraB: floats(rank * outFeatures, seed + 1000),
    dtype: "F32",
    weightLayout: "out-in",
    ...fields,
  };
}

export function fileOf(...targets: readonly LoraTarget[]): LoraFile {
  return { ...PLAIN_FILE, targets };
}

/** scaling * (A B) as [out, in], by its definition in float64. */
export function delta64({ rank, inFeatures, outFeatures, loraA, loraB, ...target }: LoraTarget): Float64Array {
  const scaling = scalingOf({ rank, ...target });
  const delta = new Float64Array(outFeatures * inFeatures);
  for (let o = 0; o < outFeatures; o++) {
    for (let i = 0; i < inFeatures; i++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += loraB[r * outFeatures + o]! * loraA[r * inFeatures + i]!;
      delta[o * inFeatures + i] = scaling * sum;
    }
  }
  return delta;
}

/** That two lists of numbers differ by no more than `relative` of the largest magnitude. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, relative: number): void {
  expect(actual.length).toBe(expected.length);
  const values = Array.from(expected);
  const bound = relative * values.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-30);
  const apart = values.flatMap((value, i) => (Math.abs(actual[i]! - value) <= bound ? [] : [[i, actual[i], value]]));
  expect(apart.slice(0, 5)).toEqual([]);
}
