import { readFile } from "node:fs/promises";
import { weightsUnavailable } from "./errors.js";
import { type LoadOptions, loadEmbedder as loadFromBytesOrWeb, type TextEmbedder, WEIGHTS_URL } from "./index.js";

export {
  createEmbedder,
  type EmbedderOptions,
  EmbedError,
  type EmbedErrorCode,
  type LoadOptions,
  type TextEmbedder,
  WEIGHTS_URL,
} from "./index.js";

/**
 * Loads the embedder, reading the weights from the package unless bytes or another place are given.
 *
 * @throws EmbedError `weights-unavailable`, or what {@link createEmbedder} throws
 */
export async function loadEmbedder({ weights = WEIGHTS_URL, ...options }: LoadOptions = {}): Promise<TextEmbedder> {
  const isFile = weights instanceof URL && weights.protocol === "file:";
  return loadFromBytesOrWeb({ ...options, weights: isFile ? await readBytes(weights) : weights });
}

async function readBytes(file: URL): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    const remedy = "Install the package whole, or hand in the bytes as the option `weights`";
    throw weightsUnavailable(file, cause, remedy);
  }
}
