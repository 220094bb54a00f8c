import type { DecodeOptions } from "../format.js";
import type { LoraFile } from "../picture/lora-file.js";
import type { TensorFile } from "../picture/tensor-file.js";

/** How a program that trains adapters names and shapes their tensors, in a file that holds nothing else. */
export interface Layout {
  /** Whose names these are, for people. */
  readonly title: string;
  /** Whether a key is one that this program's files have, and others do not. */
  matches(key: string): boolean;
  /** @throws FormatError */
  read(file: TensorFile, options: DecodeOptions): LoraFile;
}
