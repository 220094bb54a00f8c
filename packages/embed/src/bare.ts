// The entry for places where code has no files beside it and no address: Cloudflare Workers, React Native.
import type { TextEmbedder } from "./embedder.js";
import { EmbedError } from "./errors.js";
import { type LoadOptions, loadFrom } from "./load.js";
import { ELSEWHERE } from "./remedies.js";

export * from "./api.js";

/** @throws EmbedError `weights-unavailable` always */
export function weightsUrl(_dimensions?: number): URL {
  throw new EmbedError(
    "weights-unavailable",
    "weights",
    "on this platform the package has no files beside it",
    ELSEWHERE,
  );
}

/** As `loadEmbedder` of the entry for browsers; the option `weights` has to say where the weights are. */
export async function loadEmbedder(options: LoadOptions = {}): Promise<TextEmbedder> {
  return loadFrom(options, () => weightsUrl());
}
