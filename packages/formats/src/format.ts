import type { BaseModel } from "./gguf/base-model.js";
import type { FloatDType } from "./picture/dtype.js";
import type { LoraFile } from "./picture/lora-file.js";

/** What a reader cannot know from the bytes alone; each format says which of it it heeds. */
export interface DecodeOptions {
  /** alpha, where a file says none. */
  readonly alpha?: number;
  /** The base model, where a file has its rows in an order that the number of heads decides: GGUF. */
  readonly base?: BaseModel;
  /** Leaves such rows as they are stored, and names that are not known: enough to look at, not to use. */
  readonly asStored?: boolean;
}

/** What a writer cannot know from the picture alone; each format says which of it it heeds. */
export interface EncodeOptions {
  /** Element type of A and B; by default the one that they came in, where the format has it. */
  readonly dtype?: FloatDType;
  /** The base model, by which GGUF names modules and orders rows. */
  readonly base?: BaseModel;
}

/** A format whose adapters are one file: pure functions between its bytes and the picture, no I/O inside. */
export interface FileFormat {
  /** One line for people. */
  readonly title: string;
  /** With the dot. */
  readonly extension: string;
  /** Whether bytes begin as this format's files do; at least the first 16 are given, fewer if the file has fewer. */
  matches(start: Uint8Array): boolean;
  /** @throws FormatError, whatever the bytes are */
  decode(bytes: Uint8Array, options?: DecodeOptions): LoraFile;
  /** @throws FormatError where the format cannot say what the picture says */
  encode(file: LoraFile, options?: EncodeOptions): Uint8Array;
}
