import { FormatError, shown } from "../base/errors.js";
import type { LoraTarget } from "./lora-file.js";

/** What a target may have that not every format has a place for, as a refusal says it. */
const PARTS = {
  bias: ({ bias }: LoraTarget) => (bias === undefined ? undefined : "has a bias (lora_bias)"),
  magnitude: ({ magnitude }: LoraTarget) => (magnitude === undefined ? undefined : "has magnitudes (DoRA)"),
  embedding: ({ kind }: LoraTarget) => (kind === "embedding" ? "is an embedding" : undefined),
  convolution: ({ kind }: LoraTarget) => (kind === "convolution" ? "is a convolution" : undefined),
} as const satisfies Readonly<Record<string, (target: LoraTarget) => string | undefined>>;

/** A part of a target that some formats have no place for. */
export type TargetPart = keyof typeof PARTS;

/**
 * Refuses targets with parts that a format has no place for.
 * @param parts what the format lacks
 * @throws FormatError `unsupported-variant`
 */
export function refuseParts(targets: readonly LoraTarget[], format: string, parts: readonly TargetPart[]): void {
  for (const target of targets) {
    for (const part of parts) {
      const problem = PARTS[part](target);
      if (problem === undefined) continue;
      throw new FormatError(
        "unsupported-variant",
        shown(target.module),
        `${problem}, which ${format} has no place for`,
        "Merge it into the safetensors of its base model, or leave the module out (--drop of the command)",
      );
    }
  }
}
