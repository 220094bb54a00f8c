import { checkLoraFile, type LoraFile } from "../picture/lora-file.js";

/** What kohya puts before a module's path, whose dots it turns into underscores. */
const FLATTENED = /^lora_(?:unet|te|te1|te2|te3|transformer|prior_unet|prior_te)_/;
export const FLATTENED_WARNING =
  "kohya's names have underscores for the dots of paths; a model tells which they were (--base of convert; merge does so)";

/** Whether kohya has turned the dots of a module's path into underscores. */
export function isFlattened(module: string): boolean {
  return FLATTENED.test(module);
}

/**
 * The paths of modules whose dots kohya turned into underscores, by a model's tensors; a module that no tensor, or several,
 * could mean stays as it is.
 */
export function unflattenModules(file: LoraFile, tensors: Iterable<string>): LoraFile {
  if (!file.targets.some(({ module }) => isFlattened(module))) return file;
  const paths = new Map<string, string | null>();
  for (const tensor of tensors) {
    if (!tensor.endsWith(".weight")) continue;
    const path = tensor.slice(0, -".weight".length);
    const flat = path.replaceAll(".", "_");
    paths.set(flat, paths.has(flat) ? null : path);
  }
  const targets = file.targets.map((target) => {
    const path = paths.get(target.module.replace(FLATTENED, ""));
    return path === undefined || path === null ? target : { ...target, module: path };
  });
  const isLeft = targets.some(({ module }) => isFlattened(module));
  const warnings = (file.warnings ?? []).filter((warning) => isLeft || warning !== FLATTENED_WARNING);
  return checkLoraFile({ ...file, targets, warnings });
}
