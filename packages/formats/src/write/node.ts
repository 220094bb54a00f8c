import { randomUUID } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { save } from "microlora/node";
import { checkOutputs, exists, onDisk } from "../base/node.js";
import type { EncodeOptions } from "../format.js";
import { FILE_FORMATS, type FolderFormatName, type FormatName } from "../formats/formats.js";
import { encodeMlx, MLX_WEIGHTS_FILE } from "../mlx/mlx.js";
import { CONFIG_FILE, WEIGHTS_FILE } from "../peft/config.js";
import { encodePeft, type PeftOptions } from "../peft/encode.js";
import type { LoraFile } from "../picture/lora-file.js";

/** Options of writing an adapter. */
export interface WriteOptions {
  /** Whether a file that is there already may be written over; by default it may. */
  readonly overwrite?: boolean;
}

/** The two files of a folder, and what the weights are called. */
interface Folder {
  readonly config: Uint8Array;
  readonly weights: Uint8Array;
}

const FOLDERS: {
  readonly [K in FolderFormatName]: {
    readonly weightsFile: string;
    encode(file: LoraFile, options: PeftOptions): Folder;
  };
} = {
  peft: { weightsFile: WEIGHTS_FILE, encode: encodePeft },
  mlx: { weightsFile: MLX_WEIGHTS_FILE, encode: encodeMlx },
};

/**
 * Writes an adapter, so that a kill at any moment leaves each file old or new. The formats of PEFT and mlx-lm make a folder,
 * which appears whole where there was none.
 * @throws FormatError as the format refuses, nothing is written then; `cannot-write`
 */
export async function writeAdapter(
  file: LoraFile,
  path: string,
  format: FormatName,
  { overwrite = true, ...options }: EncodeOptions & PeftOptions & WriteOptions = {},
): Promise<void> {
  if (format !== "peft" && format !== "mlx") {
    await checkOutputs([path], overwrite);
    const bytes = FILE_FORMATS[format].encode(file, options);
    return onDisk(path, "writing", async () => {
      await mkdir(dirname(path), { recursive: true });
      await save({ toBytes: () => bytes }, path);
    });
  }
  const { weightsFile, encode } = FOLDERS[format];
  await checkOutputs([join(path, CONFIG_FILE), join(path, weightsFile)], overwrite);
  const folder = encode(file, options);
  if (await exists(path)) return onDisk(path, "writing", () => writeFolder(path, weightsFile, folder));
  const temporary = `${path.replace(/[/\\]+$/, "")}.${randomUUID()}.tmp`;
  try {
    await onDisk(path, "writing", () =>
      writeFolder(temporary, weightsFile, folder).then(() => rename(temporary, path)),
    );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function writeFolder(path: string, weightsFile: string, { config, weights }: Folder): Promise<void> {
  await mkdir(path, { recursive: true });
  await save({ toBytes: () => weights }, join(path, weightsFile));
  await save({ toBytes: () => config }, join(path, CONFIG_FILE));
}
