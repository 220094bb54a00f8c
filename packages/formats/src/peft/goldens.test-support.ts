import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TensorFile } from "../picture/tensor-file.js";
import { decodeSafetensors } from "../safetensors/safetensors.js";
import type { PeftFolder } from "./decode.js";

const FIXTURES = join(import.meta.dirname, "fixtures");

/** The folders that PEFT saved after training. */
export const CASES = readdirSync(FIXTURES).filter((name) => !/^base-|^refused$|\.json$/.test(name));
export const REFUSED = readdirSync(join(FIXTURES, "refused"));

export function peftFolder(...path: readonly string[]): PeftFolder {
  const file = (name: string) => new Uint8Array(readFileSync(join(FIXTURES, ...path, name)));
  return { config: file("adapter_config.json"), weights: file("adapter_model.safetensors") };
}

/** What PEFT makes of a case: the change of each module, logits, and the merged model's tensors. */
export function expectedOf(name: string): TensorFile {
  return decodeSafetensors(readFileSync(join(FIXTURES, name, "expected.safetensors")));
}

/** The tensors of the tiny model that a case was trained on. */
export function baseOf(name: string): TensorFile {
  return decodeSafetensors(readFileSync(join(FIXTURES, `base-${name.split("-")[0]}.safetensors`)));
}
