import { createEmbedder, type EmbedderOptions, type TextEmbedder } from "./embedder.js";
import { weightsUnavailable } from "./errors.js";

export { createEmbedder, type EmbedderOptions, type TextEmbedder } from "./embedder.js";
export { EmbedError, type EmbedErrorCode } from "./errors.js";

/** Where the weights of the default model lie, beside the package's code. */
export const WEIGHTS_URL: URL = new URL("../weights/minilm-static-256.bin", import.meta.url);

/** {@link EmbedderOptions}, and where the weights come from. */
export interface LoadOptions extends EmbedderOptions {
  /** Bytes of a weights file, or where to get one (default {@link WEIGHTS_URL}). */
  readonly weights?: Uint8Array | URL;
}

/**
 * Loads the embedder, fetching the weights unless their bytes are given.
 *
 * @throws EmbedError `weights-unavailable`, or what {@link createEmbedder} throws
 */
export async function loadEmbedder({ weights = WEIGHTS_URL, ...options }: LoadOptions = {}): Promise<TextEmbedder> {
  return createEmbedder(weights instanceof Uint8Array ? weights : await fetchBytes(weights), options);
}

async function fetchBytes(url: URL): Promise<Uint8Array> {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    const remedy = "Serve the package's weights folder there, or hand in the bytes as the option `weights`";
    throw weightsUnavailable(url, cause, remedy);
  }
}
