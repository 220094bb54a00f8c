import { FormatError, shown } from "../base/errors.js";
import type { LoraTarget } from "../picture/lora-file.js";
import type { Place } from "./names.js";

type Target = Omit<LoraTarget, "alpha">;

interface Piece {
  readonly place: Place;
  readonly target: Target;
}

/**
 * The modules of pieces: Q, K and V that llama.cpp has taken apart become one packed projection again. Where the three share
 * their A, as they do when one adapter was taken apart, so does the whole; else their ranks lie beside one another.
 * @param hasAlpha whether the file has an alpha, by which the scaling depends on the rank
 * @throws FormatError `bad-shape`
 */
export function joinThirds(pieces: readonly Piece[], hasAlpha: boolean): readonly Target[] {
  const whole = pieces.filter(({ place }) => place.third === undefined).map(({ target }) => target);
  const groups = new Map<string, Piece[]>();
  for (const piece of pieces) {
    if (piece.place.third === undefined) continue;
    const group = groups.get(piece.target.module);
    if (group === undefined) groups.set(piece.target.module, [piece]);
    else group.push(piece);
  }
  return [...whole, ...[...groups.values()].map((group) => joined(group, hasAlpha))];
}

function joined(pieces: readonly Piece[], hasAlpha: boolean): Target {
  const [{ target: first }] = pieces as [Piece];
  for (const { place, target } of pieces) {
    if (target.inFeatures === first.inFeatures && target.outFeatures === first.outFeatures) continue;
    const problem = "has other sizes than the rest of Q, K and V";
    throw new FormatError("bad-shape", shown(place.tensor), problem, "Convert the adapter again");
  }
  const isShared = pieces.every(({ target }) => target.rank === first.rank && isSame(target.loraA, first.loraA));
  const rank = isShared ? first.rank : pieces.reduce((sum, { target }) => sum + target.rank, 0);
  const rows = first.outFeatures;
  const outFeatures = 3 * rows;
  const loraA = new Float32Array(rank * first.inFeatures);
  const loraB = new Float32Array(rank * outFeatures);
  let start = 0;
  for (const { place, target } of pieces) {
    loraA.set(target.loraA, start * first.inFeatures);
    // The file has one alpha: with another rank, another scaling, which B takes over.
    const factor = hasAlpha ? rank / target.rank : 1;
    for (let k = 0; k < target.rank; k++) {
      for (let o = 0; o < target.outFeatures; o++) {
        const at = (start + k) * outFeatures + (place.third ?? 0) * rows + o;
        loraB[at] = target.loraB[k * target.outFeatures + o]! * factor;
      }
    }
    if (!isShared) start += target.rank;
  }
  return { ...first, rank, outFeatures, loraA, loraB };
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
