import { FormatError, shown } from "../base/errors.js";
import type { LoraTarget } from "../picture/lora-file.js";
import { refuseParts } from "../picture/refuse-parts.js";
import type { Architecture } from "./architectures.js";
import type { BaseModel } from "./base-model.js";
import { type Place, placesOfModule } from "./names.js";
import { orderOf } from "./orders.js";

/** The two factors of a change of one of llama.cpp's tensors, in its own order of rows and columns. */
export interface Factors {
  readonly target: LoraTarget;
  readonly place: Place;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** [rank, inFeatures] */
  readonly a: Float32Array;
  /** [outFeatures, rank] */
  readonly b: Float32Array;
}

/**
 * Turns the adapter of one module into factors of llama.cpp's tensors. A packed projection may become several.
 * @throws FormatError `bad-name`, `unsupported-variant`, `needs-base`
 */
export function factorsOf(target: LoraTarget, architecture: Architecture, base: BaseModel): readonly Factors[] {
  refuseParts([target], "a GGUF adapter", ["magnitude", "convolution"]);
  return placesOfModule(target, architecture).map((place) => {
    const { rank, inFeatures, outFeatures, module } = target;
    const where = shown(module);
    const isThird = place.third !== undefined;
    if (isThird && outFeatures % 3 !== 0) {
      throw new FormatError(
        "bad-shape",
        where,
        `has ${outFeatures} outputs, which are not Q, K and V`,
        "Convert it again",
      );
    }
    const rows = isThird ? outFeatures / 3 : outFeatures;
    const first = rows * (place.third ?? 0);
    const rowOrder = place.rows === undefined ? undefined : orderOf(place.rows, rows, base, where);
    const columnOrder = place.columns === undefined ? undefined : orderOf(place.columns, inFeatures, base, where);
    const a = new Float32Array(rank * inFeatures);
    for (let i = 0; i < a.length; i++) {
      const column = i % inFeatures;
      a[i] = target.loraA[i - column + (columnOrder?.[column] ?? column)]!;
    }
    const b = new Float32Array(rows * rank);
    for (let row = 0; row < rows; row++) {
      const from = first + (rowOrder?.[row] ?? row);
      for (let k = 0; k < rank; k++) b[row * rank + k] = target.loraB[k * outFeatures + from]!;
    }
    return { target, place, rank, inFeatures, outFeatures: rows, a, b };
  });
}

/**
 * Refuses an adapter that llama.cpp would ignore, could not load, or would abort on: of modules that it multiplies by without
 * adapters, of a head that is the embedding, of that embedding.
 * @throws FormatError `tied-head`, `needs-base` where it is not known whether the head is tied, `unsupported-variant`
 */
export function checkApplied({ place }: Factors, { head }: Architecture, { tiedHead, architecture }: BaseModel): void {
  if (place.isIgnored) {
    const problem = "is a module to which llama.cpp applies no adapters, although it loads them";
    const remedy = "Leave it out (--drop of the command), or merge the adapter into the GGUF model";
    throw new FormatError("unsupported-variant", shown(place.module), problem, remedy);
  }
  if (!place.isHead && place.kind !== "embedding") return;
  if (place.isHead && head === "ignored") {
    const problem = `is the head, to which llama.cpp applies no adapters in ${architecture} models`;
    const remedy = "Leave it out (--drop of the command), or merge the adapter into the GGUF model";
    throw new FormatError("unsupported-variant", shown(place.module), problem, remedy);
  }
  // No head multiplies by the embedding with an adapter on it.
  if (!place.isHead && (head === "none" || head === "ignored")) return;
  const isTied = head === "tied" || tiedHead;
  if (isTied === false) return;
  const name = place.isHead ? "is the head" : "is the embedding";
  if (isTied === undefined) {
    const problem = `${name}, and nothing says whether the two are one (tie_word_embeddings)`;
    throw new FormatError("needs-base", shown(place.module), problem, "Pass the base model's GGUF, or say tiedHead");
  }
  const effect = place.isHead ? "llama.cpp has no tensor for it" : "llama.cpp would apply it to both, and abort";
  throw new FormatError(
    "tied-head",
    shown(place.module),
    `${name} of a model whose head is tied to its embedding (tie_word_embeddings): ${effect}`,
    head === "tied"
      ? "Leave it out (--drop of the command): llama.cpp ties the head of every model of this kind"
      : "Leave it out (--drop of the command), or merge it into the model, which gives the head a tensor of its own",
  );
}
