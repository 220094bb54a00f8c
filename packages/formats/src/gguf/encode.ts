import { FormatError, shown } from "../base/errors.js";
import type { EncodeOptions } from "../format.js";
import type { FloatDType } from "../picture/dtype.js";
import { storeFloats } from "../picture/floats.js";
import { checkLoraFile, type LoraFile, type LoraTarget, scalingOf } from "../picture/lora-file.js";
import { refuseParts } from "../picture/refuse-parts.js";
import { refuseReplaced } from "../picture/replaced.js";
import { transpose } from "../picture/transpose.js";
import { type BaseModel, checkBaseModel } from "./base-model.js";
import type { GgufTensor } from "./container.js";
import { NOTE } from "./decode.js";
import { checkApplied, type Factors, factorsOf } from "./factors.js";
import { architectureOf } from "./names.js";
import { type Entry, writeGguf } from "./write-container.js";

/**
 * An adapter that llama.cpp loads; heeds `dtype`, and `base`, which it needs.
 * @throws FormatError `needs-base`, `bad-config`, `bad-name`, `unsupported-variant`, `tied-head`, and as `checkLoraFile`
 */
export function encodeGgufLora(file: LoraFile, options: EncodeOptions = {}): Uint8Array {
  checkLoraFile(file);
  if (options.base === undefined) {
    const problem = "is not given, but llama.cpp's names and the order of rows depend on it";
    throw new FormatError("needs-base", "base", problem, "Pass the base model's config.json or GGUF as well");
  }
  const base = checkBaseModel(options.base);
  const architecture = architectureOf(base.architecture);
  refuseReplaced(file, "GGUF");
  refuseParts(file.targets, "a GGUF adapter", ["bias"]);
  const alpha = commonAlpha(file.targets);
  const all = file.targets.flatMap((target) => factorsOf(target, architecture, base));
  for (const factors of all) checkApplied(factors, architecture, base);
  const typeOf = ({ target }: Factors) => options.dtype ?? target.dtype;
  const tensors = all.flatMap((factors) =>
    factors.place.expert === undefined ? matricesOf(factors, alpha, typeOf(factors)) : [],
  );
  for (const [tensor, experts] of byTensor(all.filter(({ place }) => place.expert !== undefined))) {
    tensors.push(...stackOf(tensor, experts, base, alpha, typeOf(experts[0]!)));
  }
  refuseTwice(tensors);
  return writeGguf(entriesOf(file, base, alpha), tensors);
}

/**
 * The one alpha of a file. It is the alpha of the first scaled target, so that a file whose targets agree is exact.
 * Never zero, which llama.cpp takes as no scaling at all.
 */
function commonAlpha(targets: readonly LoraTarget[]): number {
  const alphas = targets.map((target) => Math.fround(scalingOf(target) * target.rank));
  return alphas.find((alpha) => alpha !== 0 && Number.isFinite(alpha)) ?? 1;
}

/** Both factors of a matrix; what the file's alpha does not say of the module is folded into B. */
function matricesOf({ target, place, rank, inFeatures, outFeatures, a, b }: Factors, alpha: number, dtype: FloatDType) {
  const factor = (scalingOf(target) * rank) / alpha;
  const rows = b.map((value) => value * factor);
  const isEmbedding = place.kind === "embedding";
  const shapeOfA = isEmbedding ? [rank, inFeatures] : [inFeatures, rank];
  const columns = isEmbedding ? transpose(a, rank, inFeatures) : a;
  return [
    tensorOf(`${place.tensor}.lora_a`, columns, shapeOfA, dtype, `${target.module}.loraA`),
    tensorOf(`${place.tensor}.lora_b`, rows, [rank, outFeatures], dtype, `${target.module}.loraB`),
  ];
}

/**
 * The factors of all experts of a block, one after the other: A ne [in, rank, experts], B ne [rank, out, experts]. Smaller
 * ranks are filled up with zeros, and so is an expert without an adapter.
 */
function stackOf(tensor: string, experts: readonly Factors[], base: BaseModel, alpha: number, dtype: FloatDType) {
  const [{ target, inFeatures, outFeatures }] = experts as [Factors];
  const count = base.experts;
  const most = experts.reduce((max, { place }) => Math.max(max, Number(place.expert)), 0);
  if (count === undefined || most >= count) {
    const problem = `is of expert ${most}, and the base model has ${count ?? "no known number of"} experts`;
    throw new FormatError("needs-base", shown(target.module), problem, "Pass the base model that the adapter is for");
  }
  const rank = experts.reduce((max, factors) => Math.max(max, factors.rank), 0);
  const a = new Float32Array(count * rank * inFeatures);
  const b = new Float32Array(count * outFeatures * rank);
  for (const { target: of, place, ...factors } of experts) {
    if (factors.inFeatures !== inFeatures || factors.outFeatures !== outFeatures) {
      throw new FormatError(
        "bad-shape",
        shown(of.module),
        "has other sizes than its fellow experts",
        "Convert it again",
      );
    }
    const factor = (scalingOf(of) * rank) / alpha;
    a.set(factors.a, Number(place.expert) * rank * inFeatures);
    for (let row = 0; row < outFeatures; row++) {
      for (let k = 0; k < factors.rank; k++) {
        b[(Number(place.expert) * outFeatures + row) * rank + k] = factors.b[row * factors.rank + k]! * factor;
      }
    }
  }
  return [
    tensorOf(`${tensor}.lora_a`, a, [inFeatures, rank, count], dtype, `${target.module}.loraA`),
    tensorOf(`${tensor}.lora_b`, b, [rank, outFeatures, count], dtype, `${target.module}.loraB`),
  ];
}

function tensorOf(
  name: string,
  values: Float32Array,
  shape: readonly number[],
  type: FloatDType,
  where: string,
): GgufTensor {
  return { name, shape, type, data: storeFloats(values, shape, type, where).data };
}

function byTensor(all: readonly Factors[]): ReadonlyMap<string, readonly Factors[]> {
  const groups = new Map<string, Factors[]>();
  for (const factors of all) {
    const group = groups.get(factors.place.tensor);
    if (group === undefined) groups.set(factors.place.tensor, [factors]);
    else group.push(factors);
  }
  return groups;
}

/** Two paths may mean one module, such as `shared` and `encoder.embed_tokens` of T5. */
function refuseTwice(tensors: readonly GgufTensor[]): void {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name))
      throw new FormatError("duplicate-name", shown(name), "would be two adapters'", "Combine them first");
    names.add(name);
  }
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
    if (/^[\w.-]+\/[\w.-]+$/.test(baseModel) && !/(^|\/)\.+(\/|$)/.test(baseModel)) {
      entries.set("general.base_model.0.repo_url", { type: "STRING", value: `https://huggingface.co/${baseModel}` });
    }
  }
  const { stacks } = architectureOf(architecture);
  const isOrdered = stacks.some(({ modules }) => Object.values(modules).some(({ rows }) => rows !== undefined));
  if (isOrdered && attentionHeads !== null) {
    // Not needed by llama.cpp; with them, the file can be read back without its base model.
    entries.set(`${architecture}.attention.head_count`, { type: "UINT32", value: attentionHeads });
    entries.set(`${architecture}.attention.head_count_kv`, { type: "UINT32", value: keyValueHeads ?? attentionHeads });
    if (base.linearHeads !== undefined) {
      const { keys, values, keyWidth, valueWidth } = base.linearHeads;
      entries.set(`${architecture}.ssm.group_count`, { type: "UINT32", value: keys });
      entries.set(`${architecture}.ssm.time_step_rank`, { type: "UINT32", value: values });
      entries.set(`${architecture}.ssm.inner_size`, { type: "UINT32", value: values * valueWidth });
      entries.set(`${architecture}.ssm.state_size`, { type: "UINT32", value: keyWidth });
    }
  }
  for (const [note, value] of notes) {
    const key = note.startsWith(NOTE) ? note.slice(NOTE.length) : "";
    if (key.startsWith("general.") && !entries.has(key)) entries.set(key, { type: "STRING", value });
  }
  return entries;
}
