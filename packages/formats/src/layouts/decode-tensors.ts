import { FormatError } from "../base/errors.js";
import type { DecodeOptions } from "../format.js";
import { isMlxKey, targetsOf } from "../mlx/mlx.js";
import { fromTensors } from "../peft/decode.js";
import { LAYOUT_NOTE } from "../picture/layout-note.js";
import { checkLoraFile, type LoraFile, PLAIN_FILE } from "../picture/lora-file.js";
import type { TensorFile } from "../picture/tensor-file.js";
import { imageModels } from "./image-models.js";
import type { Layout } from "./layout.js";
import { torchtune } from "./torchtune.js";

/** The metadata key of PEFT's configuration, for a single file without a folder. */
export const CONFIG_KEY = "adapter_config";

/** mlx-lm's names without the configuration of its folder: alpha / rank is the scale. */
const mlxAlone: Layout = {
  title: "mlx-lm's names",
  matches: isMlxKey,
  read({ tensors }, { alpha }) {
    if (alpha === undefined) {
      const problem = "has the names of MLX (mlx-lm), and says nothing of the scale";
      const remedy = "Put its adapter_config.json beside it, or pass scale * rank as alpha";
      throw new FormatError("missing-config", "file", problem, remedy);
    }
    const targets = targetsOf(tensors, () => alpha);
    return checkLoraFile({ ...PLAIN_FILE, targets, notes: new Map([[LAYOUT_NOTE, mlxAlone.title]]) });
  },
};

const LAYOUTS: readonly Layout[] = [imageModels, torchtune, mlxAlone];

/**
 * An adapter out of named tensors without a configuration beside them, by whose names they have; heeds `alpha`, `adapter`, `base`.
 * @throws FormatError
 */
export function decodeTensors(file: TensorFile, options: DecodeOptions = {}): LoraFile {
  const config = file.metadata.get(CONFIG_KEY);
  if (config !== undefined) return fromTensors(file, config, options);
  for (const layout of LAYOUTS) {
    for (const key of file.tensors.keys()) if (layout.matches(key)) return layout.read(file, options);
  }
  if (options.alpha !== undefined) return fromTensors(file, JSON.stringify({ lora_alpha: options.alpha }), options);
  throw new FormatError(
    "missing-config",
    "file",
    `has no ${CONFIG_KEY} in its metadata, so the scaling is not known`,
    "Put adapter_config.json beside the file and pass the folder, or pass alpha",
  );
}
