import { FormatError, shown } from "../base/errors.js";
import type { EncodeOptions } from "../format.js";
import type { FloatDType } from "../picture/dtype.js";
import { storeFloats } from "../picture/floats.js";
import { checkLoraFile, type LoraFile, type LoraTarget, scalingOf } from "../picture/lora-file.js";
import { refuseReplaced } from "../picture/replaced.js";
import { transpose } from "../picture/transpose.js";
import { type BaseModel, checkBaseModel } from "./base-model.js";
import type { GgufTensor } from "./container.js";
import { NOTE } from "./decode.js";
import { architectureOf, placeOfModule } from "./names.js";
import { rotaryOrder } from "./permute.js";
import { type Entry, writeGguf } from "./write-container.js";

/**
 * An adapter that llama.cpp loads; heeds `dtype`, and `base`, which it needs.
 * @throws FormatError `needs-base`, `bad-config`, `bad-name`, `unsupported-variant`, and as `checkLoraFile`
 */
export function encodeGgufLora(file: LoraFile, options: EncodeOptions = {}): Uint8Array {
  checkLoraFile(file);
  if (options.base === undefined) {
    const problem = "is not given, but llama.cpp's names and the order of rows depend on it";
    throw new FormatError("needs-base", "base", problem, "Pass the base model's config.json or GGUF as well");
  }
  const base = checkBaseModel(options.base);
  refuseReplaced(file, "GGUF");
  const alpha = commonAlpha(file.targets);
  const tensors = file.targets.flatMap((target) => tensorsOf(target, base, alpha, options.dtype ?? target.dtype));
  return writeGguf(entriesOf(file, base, alpha), tensors);
}

/**
 * The one alpha that a file has: that of the first target that is scaled, so that a file in which all agree is exact.
 * Never zero, which llama.cpp takes as no scaling at all.
 */
function commonAlpha(targets: readonly LoraTarget[]): number {
  const alphas = targets.map((target) => Math.fround(scalingOf(target) * target.rank));
  return alphas.find((alpha) => alpha !== 0 && Number.isFinite(alpha)) ?? 1;
}

function tensorsOf(target: LoraTarget, base: BaseModel, alpha: number, dtype: FloatDType): GgufTensor[] {
  const { module, rank, inFeatures, outFeatures, loraA, loraB, bias } = target;
  if (bias !== undefined) {
    const remedy = "Merge it into the base model, or leave it out";
    throw new FormatError("unsupported-variant", shown(module), "has a bias, which GGUF adapters cannot", remedy);
  }
  const { tensor, kind, heads } = placeOfModule(target, architectureOf(base.architecture));
  const order = heads === null ? undefined : rotaryOrder(outFeatures, base[heads], shown(module));
  // What the file's alpha does not say of this module is folded into B.
  const factor = (scalingOf(target) * rank) / alpha;
  const rows = new Float32Array(loraB.length);
  for (let row = 0; row < outFeatures; row++) {
    const from = order === undefined ? row : order[row]!;
    for (let k = 0; k < rank; k++) rows[row * rank + k] = loraB[k * outFeatures + from]! * factor;
  }
  const isEmbedding = kind === "embedding";
  const shapeOfA = isEmbedding ? [rank, inFeatures] : [inFeatures, rank];
  const a = storeFloats(isEmbedding ? transpose(loraA, rank, inFeatures) : loraA, shapeOfA, dtype, `${module}.loraA`);
  const b = storeFloats(rows, [rank, outFeatures], dtype, `${module}.loraB`);
  return [
    { name: `${tensor}.lora_a`, shape: a.shape, type: dtype, data: a.data },
    { name: `${tensor}.lora_b`, shape: b.shape, type: dtype, data: b.data },
  ];
}

function entriesOf({ baseModel, notes }: LoraFile, base: BaseModel, alpha: number): ReadonlyMap<string, Entry> {
  const { architecture, attentionHeads, keyValueHeads } = base;
  const entries = new Map<string, Entry>([
    ["general.architecture", { type: "STRING", value: architecture }],
    ["general.type", { type: "STRING", value: "adapter" }],
    ["adapter.type", { type: "STRING", value: "lora" }],
    ["adapter.lora.alpha", { type: "FLOAT32", value: alpha }],
  ]);
  if (baseModel !== null) {
    entries.set("general.base_model.count", { type: "UINT32", value: 1 });
    entries.set("general.base_model.0.name", { type: "STRING", value: baseModel });
    if (/^[\w.-]+\/[\w.-]+$/.test(baseModel)) {
      entries.set("general.base_model.0.repo_url", { type: "STRING", value: `https://huggingface.co/${baseModel}` });
    }
  }
  if (architectureOf(architecture).permutesQK) {
    // Not needed by llama.cpp; with them, the file can be read back without its base model.
    entries.set(`${architecture}.attention.head_count`, { type: "UINT32", value: attentionHeads });
    entries.set(`${architecture}.attention.head_count_kv`, { type: "UINT32", value: keyValueHeads });
  }
  for (const [note, value] of notes) {
    const key = note.startsWith(NOTE) ? note.slice(NOTE.length) : "";
    if (key.startsWith("general.") && !entries.has(key)) entries.set(key, { type: "STRING", value });
  }
  return entries;
}
