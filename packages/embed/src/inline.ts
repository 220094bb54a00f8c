// The entry that carries the weights as code: for bundles in one file, Cloudflare Workers, and pages without a server.

import { fromBase64 } from "./base64.js";
import type { TextEmbedder } from "./embedder.js";
import { type LoadOptions, loadFrom } from "./load.js";
import { base64 } from "./weights-256.generated.js";

export * from "./api.js";

/**
 * Loads the embedder from weights that are part of this code: nothing is fetched or read.
 *
 * @param options of 128 dimensions and less, `@microlora/embed/inline-128` has half the size
 * @throws EmbedError `invalid-option`; with the option `weights`, what loading them throws
 */
export async function loadEmbedder(options: LoadOptions = {}): Promise<TextEmbedder> {
  return loadFrom(options, () => fromBase64(base64));
}
