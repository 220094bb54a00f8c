// As inline.ts, with the file of 128 dimensions.

import { fromBase64 } from "./base64.js";
import type { TextEmbedder } from "./embedder.js";
import { type LoadOptions, loadFrom } from "./load.js";
import { base64 } from "./weights-128.generated.js";

export * from "./api.js";

/**
 * Loads the embedder of 128 dimensions from weights that are part of this code: nothing is fetched or read.
 *
 * @throws EmbedError `invalid-option`; with the option `weights`, what loading them throws
 */
export async function loadEmbedder(options: LoadOptions = {}): Promise<TextEmbedder> {
  return loadFrom(options, () => fromBase64(base64));
}
