import { checkLoraFile, type LoraFile } from "./lora-file.js";

/**
 * The same adapters for modules of other names, such as `q_proj` for one layer's `model.layers.0.self_attn.q_proj`.
 * @throws FormatError `duplicate-name`, `bad-name`
 */
export function renameModules(file: LoraFile, rename: (module: string) => string): LoraFile {
  return checkLoraFile({
    ...file,
    targets: file.targets.map((target) => ({ ...target, module: rename(target.module) })),
  });
}
