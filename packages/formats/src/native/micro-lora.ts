import { decodeState, encodeState, type MicroLoraConfig, type MicroLoraState, resolveConfig } from "microlora";
import { checkBytes } from "../base/bytes.js";
import { FormatError } from "../base/errors.js";
import { refuseLookalike } from "../base/lookalikes.js";
import type { FileFormat } from "../format.js";
import { isEmbeddingName } from "../picture/embedding-name.js";
import { checkLoraFile, type LoraFile, type LoraTarget, PLAIN_FILE } from "../picture/lora-file.js";
import { refuseParts } from "../picture/refuse-parts.js";
import { refuseReplaced } from "../picture/replaced.js";
import { withOneRule } from "../picture/uniform.js";

/** Our own checkpoint, written by the core. A `LoraFile` has its weights only; optimiser state and Fisher information stay behind. */
export const native: FileFormat = {
  title: "MicroLoRA checkpoint",
  extension: ".mlora",
  matches: (start) => MAGIC.every((byte, i) => start[i] === byte),
  decode(bytes) {
    checkBytes(bytes);
    refuseLookalike(bytes, "file");
    return fromMicroLora(decodeState(bytes));
  },
  encode(file) {
    refuseParts(file.targets, "a checkpoint", ["convolution"]);
    return encodeState(toMicroLora(file));
  },
};

const MAGIC = [0x89, 0x4d, 0x4c, 0x4f, 0x52, 0x41, 0x0d, 0x0a];

/** How a `MicroLora` continues to learn from the given weights. */
export type LearningOptions = Pick<MicroLoraConfig, "learning" | "seed" | "baseModel">;

/**
 * The state of a `MicroLora` with these weights, each module with its own rank and alpha:
 * `MicroLora.fromState(toMicroLora(file))`. `reset` forgets the weights. The input of a convolution is a patch.
 * @throws FormatError `needs-base` where tensors of the base are replaced, `unsupported-variant` for DoRA; MicroLoraError
 * `invalid-config`
 */
export function toMicroLora(file: LoraFile, options: LearningOptions = {}): MicroLoraState {
  checkLoraFile(file);
  refuseReplaced(file, "a MicroLora");
  refuseParts(file.targets, "a MicroLora", ["magnitude"]);
  if (file.targets.length === 0) {
    throw new FormatError("invalid-argument", "targets", "are none", "Pass a file with at least one adapter");
  }
  const targets = withOneRule(file.targets);
  const bias = targets.some((target) => target.bias !== undefined);
  const ofEach = <K extends keyof LoraTarget>(key: K) =>
    Object.fromEntries(targets.map((target) => [target.module, target[key]]));
  const config = resolveConfig({
    rankPattern: ofEach("rank"),
    alphaPattern: ofEach("alpha"),
    rsLora: targets[0]!.rsLora,
    bias,
    dropout: Math.min(file.dropout, 1 - 2 ** -24),
    targetModules: targets.map(({ module }) => module),
    dimensions: Object.fromEntries(targets.map((target) => [target.module, target])),
    ...(file.baseModel !== null && { baseModel: file.baseModel }),
    ...options,
  });
  return {
    config,
    kernels: "scalar",
    enabled: true,
    adaptationCount: 0,
    forwardCount: 0,
    adapters: targets.map(({ module, loraA, loraB, outFeatures, bias: own }) => ({
      module,
      loraA,
      loraB,
      ...(bias && { bias: own ?? new Float32Array(outFeatures) }),
      step: 0,
      pendingUpdates: 0,
      updates: 0,
    })),
  };
}

/**
 * The picture of a `MicroLora`, by its `exportState()`, or of a state in which it was saved.
 * @param isEmbedding whether a module is one, which a `MicroLora` does not know; by default told by its name
 */
export function fromMicroLora(
  { config, adapters }: MicroLoraState,
  isEmbedding: (module: string) => boolean = isEmbeddingName,
): LoraFile {
  return checkLoraFile({
    ...PLAIN_FILE,
    baseModel: config.baseModel,
    dropout: config.dropout,
    targets: adapters.map(({ module, loraA, loraB, bias }, i) => {
      const { inFeatures, outFeatures, rank, alpha } = config.modules[i]!;
      return {
        module,
        kind: isEmbedding(module) ? ("embedding" as const) : ("linear" as const),
        ...{ rank, alpha, rsLora: config.rsLora, inFeatures, outFeatures, loraA, loraB },
        ...(bias !== undefined && { bias }),
        dtype: "F32" as const,
      };
    }),
  });
}
