import { FormatError, shown } from "../base/errors.js";
import { parseJsonObject } from "../base/json.js";
import { fromTensors } from "../peft/decode.js";
import { type Part, withoutWrappers } from "../peft/names.js";
import { readTarget } from "../peft/target.js";
import { fromFloats, toFloats } from "../picture/floats.js";
import { LAYOUT_NOTE } from "../picture/layout-note.js";
import { checkLoraFile, type LoraFile, PLAIN_FILE } from "../picture/lora-file.js";
import { renameModules } from "../picture/select.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import { FLATTENED_WARNING, isFlattened } from "./flattened.js";
import type { Layout } from "./layout.js";

/**
 * Adapters of image models: kohya's sd-scripts (`lora_unet_….lora_down.weight`, `.lora_up.weight`, `.alpha`), what ComfyUI and
 * others made of it (`diffusion_model.….lora_A.weight`), diffusers before it used PEFT (`….lora.down.weight`,
 * `….processor.to_q_lora.down.weight`), and since (`unet.….lora_A.weight`). Without an alpha the factor is 1, as all of them
 * take it; `get_peft_kwargs` in diffusers' utils/peft_utils.py.
 */
export const imageModels: Layout = {
  title: "names of image models (kohya, diffusers)",
  matches: (key) => DOWN_OR_UP.test(key) || (PIPELINE_PART.test(key) && /\.lora_[AB]\b/.test(key)),
  read(file) {
    const configs = file.metadata.get(CONFIGS_KEY);
    return configs === undefined ? readPieces(file) : readByConfigs(file, configs);
  },
};

type Piece = "down" | "up" | "mid" | "alpha" | "magnitude";

const DOWN_OR_UP = /(?:\.lora_|\.lora\.|_lora\.|\.lora_linear_layer\.)(?:down|up)\.weight$/;

/** Parts of a pipeline, and of ComfyUI's models; `transformer` alone may be a language model's. */
const PIPELINE_PART =
  /^(?:unet|transformer_2|text_encoders?|text_encoder_[23]|diffusion_model|controlnet|prior|decoder)\.|^transformer\.(?:.*\.)?(?:single_)?transformer_blocks\./;

/** Where diffusers keeps a configuration for each part: `LORA_ADAPTER_METADATA_KEY` in its loaders/lora_base.py. */
const CONFIGS_KEY = "lora_adapter_metadata";

const PIECES: readonly (readonly [RegExp, (match: RegExpExecArray) => Piece])[] = [
  [DOWN_OR_UP, ([text]) => (text.includes("down.") ? "down" : "up")],
  [/\.lora_([AB])(?:\.[^.]+)?\.weight$/, ([, factor]) => (factor === "A" ? "down" : "up")],
  [/\.lora_magnitude_vector(?:\.weight)?$/, () => "magnitude"],
  [/\.lora_mid\.weight$/, () => "mid"],
  [/(?:\.lora|_lora|\.lora_linear_layer)?\.alpha$/, () => "alpha"],
  [/\.dora_scale$/, () => "magnitude"],
];

/** Tensors of what is not a product of two factors, by the name that it goes by. */
const VARIANTS: readonly (readonly [RegExp, string])[] = [
  [/\.hada_/, "LoHa"],
  [/\.lokr_/, "LoKr"],
  [/\.(?:oft_|R$)/, "OFT"],
  [/\.(?:a1|a2|b1|b2)\.weight$/, "GLoRA"],
  [/\.(?:diff|diff_b)$/, "whole differences beside the factors"],
];

function readPieces({ tensors, metadata }: TensorFile): LoraFile {
  const modules = new Map<string, Map<Piece, Tensor>>();
  for (const [key, bare] of withoutWrappers(tensors.keys())) {
    const [path, piece] = parseKey(bare);
    const tensor = tensors.get(key)!;
    const pieces = modules.get(path) ?? new Map<Piece, Tensor>();
    if (pieces.has(piece)) throw new FormatError("duplicate-name", shown(key), "is there twice", "Save it again");
    modules.set(path, pieces.set(piece, tensor));
  }
  return checkLoraFile({
    ...PLAIN_FILE,
    baseModel: metadata.get("ss_sd_model_name") ?? null,
    targets: [...modules].map(([module, pieces]) => targetOf(module, pieces)),
    notes: new Map([[LAYOUT_NOTE, imageModels.title]]),
    warnings: [...modules.keys()].some(isFlattened) ? [FLATTENED_WARNING] : [],
  });
}

/** Reads each part of a pipeline by its own configuration: `unet.r`, `unet.lora_alpha`, `text_encoder.r`, … */
function readByConfigs({ tensors, metadata }: TensorFile, text: string): LoraFile {
  const configs = new Map<string, Map<string, unknown>>();
  for (const [key, value] of parseJsonObject(text, CONFIGS_KEY)) {
    const at = key.indexOf(".");
    const part = key.slice(0, Math.max(0, at));
    configs.set(part, (configs.get(part) ?? new Map<string, unknown>()).set(key.slice(at + 1), value));
  }
  const files = [...configs].map(([part, config]) => {
    const beginning = part === "" ? "" : `${part}.`;
    const own = [...tensors].flatMap(([key, tensor]) =>
      key.startsWith(beginning) ? [[key.slice(beginning.length), tensor] as const] : [],
    );
    const file = fromTensors({ metadata, tensors: new Map(own) }, JSON.stringify(Object.fromEntries(config)));
    return renameModules(file, (module) => beginning + module);
  });
  const count = files.reduce((sum, { targets }) => sum + targets.length, 0);
  const lost = [...tensors.keys()].find(
    (key) => ![...configs.keys()].some((part) => part === "" || key.startsWith(`${part}.`)),
  );
  if (lost !== undefined || count === 0) {
    const problem = `is of no part that ${CONFIGS_KEY} tells of`;
    throw new FormatError("bad-config", shown(lost ?? "file"), problem, "Save the adapter again");
  }
  return checkLoraFile({
    ...PLAIN_FILE,
    targets: files.flatMap(({ targets }) => targets),
    replaced: new Map(files.flatMap(({ replaced }) => [...replaced])),
    notes: new Map([[LAYOUT_NOTE, imageModels.title]]),
    warnings: files.flatMap(({ warnings = [] }) => warnings),
  });
}

function parseKey(key: string): readonly [path: string, piece: Piece] {
  for (const [pattern, pieceOf] of PIECES) {
    const match = pattern.exec(key);
    if (match !== null) return [pathOf(key.slice(0, match.index), match[0]), pieceOf(match)];
  }
  const variant = VARIANTS.find(([pattern]) => pattern.test(key));
  throw new FormatError(
    variant === undefined ? "unexpected-tensor" : "unsupported-variant",
    shown(key),
    variant === undefined ? "is no down, up or alpha" : `belongs to ${variant[1]}, not to plain LoRA`,
    "Merge it into its model in the program that trained it",
  );
}

/** diffusers' processors held the factors of their neighbours: `attn1.processor.to_q_lora.down.weight` is of `attn1.to_q`. */
function pathOf(path: string, end: string): string {
  if (!end.startsWith("_lora")) return path;
  return path.replace(/\.processor\.(?=[^.]+$)/, ".").replace(/\.to_out$/, ".to_out.0");
}

function targetOf(module: string, pieces: ReadonlyMap<Piece, Tensor>) {
  const parts = new Map<Part, Tensor>();
  const down = pieces.get("down");
  if (down !== undefined) parts.set("lora_A.weight", withMid(module, down, pieces.get("mid")));
  const up = pieces.get("up");
  if (up !== undefined) parts.set("lora_B.weight", up);
  const magnitude = pieces.get("magnitude");
  if (magnitude !== undefined) parts.set("lora_magnitude_vector", magnitudeOf(module, magnitude, up));
  const rank = down?.shape[0] ?? 1;
  const alpha = pieces.get("alpha");
  return readTarget(
    module,
    parts,
    { rsLora: false, fanInFanOut: false },
    alpha === undefined ? rank : alphaOf(module, alpha, rank),
  );
}

/** kohya takes an alpha of 0 for none. */
function alphaOf(module: string, tensor: Tensor, rank: number): number {
  const [alpha, ...more] = toFloats(tensor, `${module}.alpha`);
  if (alpha === undefined || more.length > 0) {
    throw new FormatError("bad-shape", `${module}.alpha`, `has ${more.length + 1} numbers`, "Give it one");
  }
  return alpha === 0 ? rank : alpha;
}

/**
 * LyCORIS splits the kernel of a convolution off: down [rank, in, 1, 1] and mid [rank, rank, h, w]. Their product is one
 * factor [rank, in, h, w], exact but for rounding.
 */
function withMid(module: string, down: Tensor, mid: Tensor | undefined): Tensor {
  if (mid === undefined) return down;
  const [rank = 0, channels = 0] = down.shape;
  const [rows = 0, cols = 0, ...kernel] = mid.shape;
  if (rows !== rank || cols !== rank || kernel.length === 0 || down.shape.slice(2).some((size) => size !== 1)) {
    const problem = `is [${mid.shape.join(", ")}] beside down [${down.shape.join(", ")}]`;
    throw new FormatError("bad-shape", `${module}.lora_mid`, problem, "Save the adapter again");
  }
  const volume = kernel.reduce((product, size) => product * size, 1);
  const [a, m] = [toFloats(down, `${module}.lora_down`), toFloats(mid, `${module}.lora_mid`)];
  const product = new Float32Array(rank * channels * volume);
  for (let i = 0; i < product.length; i++) {
    const row = Math.floor(i / (channels * volume));
    const [channel, place] = [Math.floor(i / volume) % channels, i % volume];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += m[(row * rank + k) * volume + place]! * a[k * channels + channel]!;
    product[i] = sum;
  }
  return fromFloats(product, [rank, channels, ...kernel]);
}

/** Only magnitudes of outputs are PEFT's; LyCORIS also has some of inputs. */
function magnitudeOf(module: string, scale: Tensor, up: Tensor | undefined): Tensor {
  const outFeatures = up?.shape[0] ?? 0;
  const [first = 0, ...rest] = scale.shape;
  if (first === outFeatures && rest.every((size) => size === 1)) return { ...scale, shape: [outFeatures] };
  const problem = `has the shape [${scale.shape.join(", ")}], magnitudes that are not one for each output`;
  throw new FormatError("unsupported-variant", `${module}.dora_scale`, problem, "Merge it where it was trained");
}
