// The entry for browsers while a bundler develops: development servers of Vite up to 7 lose the address of the weights.
import type { TextEmbedder } from "./embedder.js";
import { EmbedError } from "./errors.js";
import { inlineWeights } from "./inline-weights.js";
import { type LoadOptions, loadFrom } from "./load.js";
import { weightsUrl } from "./weights-url.js";

export * from "./api.js";
export { weightsUrl } from "./weights-url.js";

/** As `loadEmbedder` of the entry for browsers; weights that their address does not give are taken from the code. */
export async function loadEmbedder(options: LoadOptions = {}): Promise<TextEmbedder> {
  try {
    return await loadFrom(options, ({ dimensions }) => weightsUrl(dimensions));
  } catch (error) {
    const isNotServed = error instanceof EmbedError && ["weights-unavailable", "not-weights"].includes(error.code);
    if (!isNotServed || options?.weights !== undefined) throw error;
    return loadFrom(options, ({ dimensions }) => inlineWeights(dimensions));
  }
}
