import { FormatError, shown } from "../base/errors.js";
import type { DecodeOptions } from "../format.js";
import { checkBaseModel } from "../gguf/base-model.js";
import { rotaryOrder } from "../gguf/permute.js";
import type { Part } from "../peft/names.js";
import { readTarget } from "../peft/target.js";
import { LAYOUT_NOTE } from "../picture/layout-note.js";
import { checkLoraFile, type LoraFile, type LoraTarget, PLAIN_FILE } from "../picture/lora-file.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import type { Layout } from "./layout.js";

/**
 * torchtune's own names, as its `adapter_0.pt` and its adapters of Phi have them: `layers.0.attn.q_proj.lora_a.weight`. Its Q
 * and K of Llama and Gemma have their rows in Meta's order; `tune_to_peft_adapter_weights` in its convert_weights.py.
 */
export const torchtune: Layout = {
  title: "torchtune's names",
  matches: (key) => KEY.test(key),
  read,
};

const KEY = /^(.+)\.(?:lora_(a|b)\.weight|(magnitude))$/;
const PARTS: Readonly<Record<string, Part>> = {
  a: "lora_A.weight",
  b: "lora_B.weight",
  magnitude: "lora_magnitude_vector",
};

/** torchtune's modules within a layer, as Hugging Face's models call them. */
const MODULES: ReadonlyMap<string, string> = new Map([
  ["attn.q_proj", "self_attn.q_proj"],
  ["attn.k_proj", "self_attn.k_proj"],
  ["attn.v_proj", "self_attn.v_proj"],
  ["attn.output_proj", "self_attn.o_proj"],
  ["mlp.w1", "mlp.gate_proj"],
  ["mlp.w2", "mlp.down_proj"],
  ["mlp.w3", "mlp.up_proj"],
]);

/** Whether the rows of Q and K are in Meta's order, by the architecture's name in llama.cpp. */
const PERMUTED: ReadonlyMap<string, boolean> = new Map([
  ["llama", true],
  ["gemma", true],
  ["gemma2", true],
  ["qwen2", false],
  ["qwen3", false],
]);

function read({ tensors }: TensorFile, { alpha, base }: DecodeOptions): LoraFile {
  if (alpha === undefined) {
    const problem = "has torchtune's names, and says nothing of the scaling";
    throw new FormatError("missing-config", "file", problem, "Pass the lora_alpha that it was trained with (alpha)");
  }
  const modules = new Map<string, Map<Part, Tensor>>();
  for (const [key, tensor] of tensors) {
    const [, path, factor, magnitude] = KEY.exec(key) ?? [];
    const part = PARTS[factor ?? magnitude ?? ""];
    if (path === undefined || part === undefined) {
      throw new FormatError("unexpected-tensor", shown(key), "is no lora_a or lora_b", "Save the adapter alone");
    }
    modules.set(path, (modules.get(path) ?? new Map<Part, Tensor>()).set(part, tensor));
  }
  const plain = { rsLora: false, fanInFanOut: false };
  const targets = [...modules].map(([path, parts]) => {
    const target = readTarget(moduleOf(path), parts, plain, alpha);
    return /\.attn\.[qk]_proj$/.test(path) ? inOwnOrder(target, path, base) : target;
  });
  return checkLoraFile({ ...PLAIN_FILE, targets, notes: new Map([[LAYOUT_NOTE, torchtune.title]]) });
}

function moduleOf(path: string): string {
  if (path === "output") return "lm_head";
  const [, number, rest = ""] = /^(?:decoder\.)?layers\.(\d+)\.(.+)$/.exec(path) ?? [];
  const name = MODULES.get(rest);
  if (number !== undefined && name !== undefined) return `model.layers.${number}.${name}`;
  throw new FormatError("bad-name", shown(path), "is no module of torchtune's that is known here", "Rename the tensor");
}

function inOwnOrder(target: LoraTarget, path: string, given: DecodeOptions["base"]): LoraTarget {
  if (given === undefined) {
    const problem = "has its rows in the order of torchtune's model, which the base model tells";
    throw new FormatError("needs-base", shown(path), problem, "Pass the base model's config.json as well (base)");
  }
  const base = checkBaseModel(given);
  const isPermuted = PERMUTED.get(base.architecture);
  if (isPermuted === undefined) {
    const problem = `is of a ${base.architecture} model, whose order of rows in torchtune is not known here`;
    throw new FormatError("unsupported-variant", shown(path), problem, "Have torchtune save the adapter for PEFT");
  }
  const heads = path.endsWith("q_proj") ? base.attentionHeads : base.keyValueHeads;
  if (!isPermuted) return target;
  if (heads === null) {
    const problem = "has its rows in an order that the number of heads decides, which the base does not say";
    throw new FormatError("needs-base", shown(path), problem, "Pass a config.json with num_attention_heads");
  }
  const { rank, outFeatures, loraB, magnitude } = target;
  const order = rotaryOrder(outFeatures, heads, shown(path));
  const turned = (values: Float32Array, rows: number) => {
    const own = new Float32Array(values.length);
    for (let row = 0; row < rows; row++) {
      for (let o = 0; o < outFeatures; o++) own[row * outFeatures + order[o]!] = values[row * outFeatures + o]!;
    }
    return own;
  };
  return {
    ...target,
    loraB: turned(loraB, rank),
    ...(magnitude !== undefined && { magnitude: turned(magnitude, 1) }),
  };
}
