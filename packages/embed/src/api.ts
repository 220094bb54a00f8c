// What every entry point of the package has.

export type { LoadProgress } from "./download.js";
export { createEmbedder, type EmbedderOptions, type TextEmbedder } from "./embedder.js";
export { EmbedError, type EmbedErrorCode } from "./errors.js";
export type { LoadOptions, WeightsSource } from "./load.js";
export type { WeightsCache } from "./weights-cache.js";
