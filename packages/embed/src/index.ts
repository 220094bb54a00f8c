// The entry for browsers and bundlers, which put the weights behind an address.
import type { TextEmbedder } from "./embedder.js";
import { type LoadOptions, loadFrom } from "./load.js";
import { weightsUrl } from "./weights-url.js";

export * from "./api.js";
export { weightsUrl } from "./weights-url.js";

/**
 * Loads the embedder. Its weights are read from the package in Node, Deno and Bun, and fetched from {@link weightsUrl} elsewhere,
 * unless an option says where they are.
 *
 * @param options `dimensions` up to 128 take the smaller of the two files
 * @throws EmbedError `weights-unavailable`, `not-weights`, `truncated-weights`, `corrupt-weights`, `checksum-mismatch`,
 * `unsupported-version`, `invalid-option`; the signal's reason if it is aborted; what `onProgress` throws
 */
export async function loadEmbedder(options: LoadOptions = {}): Promise<TextEmbedder> {
  return loadFrom(options, ({ dimensions }) => weightsUrl(dimensions));
}
