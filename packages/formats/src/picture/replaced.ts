import { FormatError } from "../base/errors.js";
import { toFloats } from "./floats.js";
import type { LoraFile, LoraTarget } from "./lora-file.js";
import type { Tensor } from "./tensor-file.js";

/**
 * Refuses a picture that replaces tensors of the base, for a format that has no place for them.
 * @throws FormatError `needs-base`
 */
export function refuseReplaced(file: LoraFile, format: string): void {
  const names = [...file.replaced.keys()];
  if (names.length === 0) return;
  throw new FormatError(
    "needs-base",
    names.slice(0, 3).join(", ") + (names.length > 3 ? ` and ${names.length - 3} more` : ""),
    `${names.length === 1 ? "is a whole tensor" : "are whole tensors"} of the base that ${format} has no place for`,
    "Turn biases into differences with foldReplaced and the base model, merge into the base, or drop them",
  );
}

/**
 * Turns biases that were trained into what they add to the base's own, exact within rounding; then no whole tensor of
 * them is needed any more.
 * @param base the base model's tensor of a name; undefined if it has none
 * @param rest what to do with a replaced tensor that is not the bias of an adapted module: keep it, or drop it
 * @throws FormatError `missing-tensor`, `bad-shape`
 */
export function foldReplaced(
  file: LoraFile,
  base: (name: string) => Tensor | undefined,
  rest: "keep" | "drop" = "keep",
): LoraFile {
  const left = new Map(file.replaced);
  const targets = file.targets.map((target): LoraTarget => {
    const name = `${target.module}.bias`;
    const trained = left.get(name);
    if (trained === undefined) return target;
    left.delete(name);
    const tensor = base(name);
    if (tensor === undefined) {
      throw new FormatError("missing-tensor", name, "is not in the base model", "Pass the model that was trained");
    }
    const [now, before] = [toFloats(trained, name), toFloats(tensor, name)];
    if (now.length !== target.outFeatures || before.length !== now.length) {
      throw new FormatError(
        "bad-shape",
        name,
        `has ${now.length} numbers, ${before.length} in the base`,
        "Pass its base",
      );
    }
    return { ...target, bias: now.map((value, i) => value - before[i]! + (target.bias?.[i] ?? 0)) };
  });
  return { ...file, targets, replaced: rest === "keep" ? left : new Map() };
}
