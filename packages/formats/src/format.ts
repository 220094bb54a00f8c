import type { BaseModel } from "./gguf/base-model.js";
import type { FloatDType } from "./picture/dtype.js";
import type { LoraFile } from "./picture/lora-file.js";

/** Facts that a reader cannot know from the bytes alone. Each format documents which of them it uses. */
export interface DecodeOptions {
  /** alpha, where a file says none. */
  readonly alpha?: number;
  /** The base model, where a file has its rows in an order that the number of heads decides: GGUF. */
  readonly base?: BaseModel;
  /** Leaves such rows as they are stored, and names that are not known: enough to look at, not to use. */
  readonly asStored?: boolean;
  /** The adapter to read, where PEFT's keys name several. */
  readonly adapter?: string;
}

/** Facts that a writer cannot know from the `LoraFile` alone. Each format documents which of them it uses. */
export interface EncodeOptions {
  /** Element type of A and B; by default the one that they came in, where the format has it. */
  readonly dtype?: FloatDType;
  /** The base model, by which GGUF names modules and orders rows. */
  readonly base?: BaseModel;
  /** Names of the inputs and initializers of the graph that an `.onnx_adapter` is for; by default those it came with, or Olive's. */
  readonly parameterNames?: readonly string[];
}

/** A format whose adapters are one file, and are read only: pure functions from its bytes to the picture, no I/O inside. */
export interface ReadFormat {
  /** One line for people. */
  readonly title: string;
  /** With the dot. */
  readonly extension: string;
  /** Whether bytes begin as this format's files do; at least the first 16 are given, fewer if the file has fewer. */
  matches(start: Uint8Array): boolean;
  /** The adapter that a file holds. @throws FormatError, whatever the bytes are */
  decode(bytes: Uint8Array, options?: DecodeOptions): LoraFile;
}

/** A format whose adapters are one file, read and written. */
export interface FileFormat extends ReadFormat {
  /** An adapter as the bytes of a file. @throws FormatError where the format cannot say what the picture says */
  encode(file: LoraFile, options?: EncodeOptions): Uint8Array;
}
