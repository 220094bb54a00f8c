import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FormatError, shown } from "../base/errors.js";
import { decodeUtf8, jsonObject, parseJsonObject } from "../base/json.js";
import { LOOKALIKE_BYTES, refuseLookalike } from "../base/lookalikes.js";
import { exists, kindOfPath, readWhole } from "../base/node.js";
import type { DecodeOptions } from "../format.js";
import {
  detectFormat,
  FOLDER_FORMATS,
  type FolderFormatName,
  READERS,
  type ReadableFormatName,
} from "../formats/formats.js";
import { decodeMlx, MLX_WEIGHTS_FILE } from "../mlx/mlx.js";
import { CONFIG_FILE, isMlxConfig, WEIGHTS_FILE } from "../peft/config.js";
import { decodePeft, fromTensors } from "../peft/decode.js";
import type { LoraFile } from "../picture/lora-file.js";
import type { Tensor } from "../picture/tensor-file.js";
import { decodePyTorch } from "../pytorch/pytorch.js";
import { decodeSafetensors } from "../safetensors/safetensors.js";
import { shardName } from "../safetensors/shards.js";

/** An adapter, the format it was in, and how many bytes it took. */
export interface ReadAdapter {
  /** The format that it was in. */
  readonly format: ReadableFormatName;
  /** The adapter. */
  readonly file: LoraFile;
  /** Bytes that it took. */
  readonly byteLength: number;
}

/** Options of reading an adapter. */
export interface ReadOptions extends DecodeOptions {
  /** The format, instead of what the file looks like. */
  readonly format?: ReadableFormatName;
}

/** What PEFT wrote before it wrote safetensors, and what diffusers writes. */
const PICKLE_FILE = "adapter_model.bin";
const SHARDS_FILE = `${WEIGHTS_FILE}.index.json`;
const DIFFUSERS_FILE = "pytorch_lora_weights.safetensors";

/** Weights that are read by the configuration that lies beside them; mlx-lm also keeps those of earlier iterations. */
const BESIDE_CONFIG =
  /^(?:adapter_model(?:-\d+-of-\d+)?\.safetensors|adapter_model\.bin|(?:\d+_)?adapters\.safetensors)$/;

/**
 * Reads an adapter of any format, told by its first bytes, else by its name; a folder is PEFT's or mlx-lm's, by its configuration.
 * @throws FormatError `unknown-format`, `cannot-read`, and as the format refuses
 */
export async function readAdapter(path: string, options: ReadOptions = {}): Promise<ReadAdapter> {
  const { format } = options;
  const isFolderFormat = FOLDER_FORMATS.some((name) => name === format);
  if ((await kindOfPath(path)) === "folder") {
    if (format === undefined || isFolderFormat) return readFolder(path, undefined, options);
    throw new FormatError("cannot-read", path, `is a folder, which ${format} is not`, "Pass a file");
  }
  const name = basename(path);
  const isPart = name === CONFIG_FILE || BESIDE_CONFIG.test(name);
  if (isFolderFormat || (isPart && format === undefined && (await exists(join(dirname(path), CONFIG_FILE))))) {
    return readFolder(dirname(path), BESIDE_CONFIG.test(name) ? name : undefined, options);
  }
  return readFile(path, options);
}

async function readFile(path: string, options: ReadOptions): Promise<ReadAdapter> {
  const bytes = await readWhole(path);
  const format = options.format ?? detectFormat(bytes.subarray(0, LOOKALIKE_BYTES), basename(path));
  if (format === undefined || format === "peft" || format === "mlx") {
    refuseLookalike(bytes, "file");
    const remedy = "Pass an adapter, or say its format (--format or --from of the command)";
    throw new FormatError("unknown-format", path, "is no adapter by its first bytes or its name", remedy);
  }
  return { format, file: READERS[format].decode(bytes, options), byteLength: bytes.length };
}

/** Reads a folder with a configuration. @param weights the file of weights that was named, if one was */
async function readFolder(folder: string, weights: string | undefined, options: ReadOptions): Promise<ReadAdapter> {
  const names = new Set(await readdir(folder));
  if (!names.has(CONFIG_FILE)) {
    // diffusers keeps all in one file.
    if (names.has(DIFFUSERS_FILE)) return readFile(join(folder, DIFFUSERS_FILE), options);
    const remedy = "Pass a folder that PEFT's save_pretrained or mlx-lm wrote";
    throw new FormatError("missing-config", folder, `has no ${CONFIG_FILE}`, remedy);
  }
  const config = await readWhole(join(folder, CONFIG_FILE));
  refuseLookalike(config, CONFIG_FILE, "json");
  const format = formatOfConfig(config);
  const candidates = format === "mlx" ? [MLX_WEIGHTS_FILE, WEIGHTS_FILE] : [WEIGHTS_FILE, SHARDS_FILE, PICKLE_FILE];
  const name = weights ?? candidates.find((candidate) => names.has(candidate));
  if (name === undefined) {
    const remedy = `Pass a folder with ${candidates.join(" or ")}`;
    throw new FormatError("missing-config", folder, `has no ${candidates[0]}`, remedy);
  }
  const bytes = await readWhole(join(folder, name));
  const text = () => decodeUtf8(config, CONFIG_FILE);
  const read = async (): Promise<readonly [LoraFile, number]> => {
    if (format === "mlx") return [decodeMlx({ config, weights: bytes }), bytes.length];
    if (name === SHARDS_FILE) return readShards(folder, bytes, (tensors) => fromTensors(tensors, text(), options));
    if (!name.endsWith(".bin")) return [decodePeft({ config, weights: bytes }, options), bytes.length];
    refuseLookalike(bytes, name, "zip");
    return [fromTensors(decodePyTorch(bytes), text(), options), bytes.length];
  };
  const [file, byteLength] = await read();
  return { format, file, byteLength: config.length + byteLength };
}

/** Anything but mlx-lm's is read as PEFT's, which says what is wrong with it. */
function formatOfConfig(config: Uint8Array): FolderFormatName {
  return isMlxConfig(parseJsonObject(decodeUtf8(config, CONFIG_FILE), CONFIG_FILE)) ? "mlx" : "peft";
}

/** Reads the files that an index names, all of which must lie in its own folder. */
async function readShards(
  folder: string,
  index: Uint8Array,
  read: (tensors: { metadata: ReadonlyMap<string, string>; tensors: ReadonlyMap<string, Tensor> }) => LoraFile,
): Promise<readonly [LoraFile, number]> {
  const json = parseJsonObject(decodeUtf8(index, SHARDS_FILE), SHARDS_FILE);
  const names = new Set(jsonObject(json.get("weight_map"), `${SHARDS_FILE}: weight_map`).values());
  const tensors = new Map<string, Tensor>();
  let byteLength = index.length;
  for (const name of names) {
    const bytes = await readWhole(join(folder, shardName(name, SHARDS_FILE)));
    byteLength += bytes.length;
    for (const [key, tensor] of decodeSafetensors(bytes).tensors) {
      if (tensors.has(key)) throw new FormatError("duplicate-name", shown(key), "is in two files", "Save it again");
      tensors.set(key, tensor);
    }
  }
  return [read({ metadata: new Map(), tensors }), byteLength];
}
