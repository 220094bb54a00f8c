import { readFile } from "node:fs/promises";
import type { TextEmbedder } from "./embedder.js";
import { EmbedError } from "./errors.js";
import { inlineWeights } from "./inline-weights.js";
import { type LoadOptions, loadFrom } from "./load.js";
import { packagedWidth } from "./packaged-width.js";
import { ELSEWHERE } from "./remedies.js";

export * from "./api.js";
export { weightsUrl } from "./weights-url.js";

/** As `loadEmbedder` of the entry for browsers; the weights are read from the package. */
export async function loadEmbedder(options: LoadOptions = {}): Promise<TextEmbedder> {
  const file = fileOf(options?.weights);
  if (file === undefined) return loadFrom(options, packagedWeights);
  const { weights: _, ...others } = options;
  return loadFrom(others, ({ signal }) => readBytes(file, signal));
}

function fileOf(weights: LoadOptions["weights"]): URL | undefined {
  const isAddress = weights instanceof URL || (typeof weights === "string" && weights.startsWith("file:"));
  const url = isAddress ? new URL(weights) : undefined;
  return url?.protocol === "file:" ? url : undefined;
}

/** The file of the package, or the same as code: a bundler for servers takes the code along, but not the file. */
async function packagedWeights({ dimensions, signal }: LoadOptions): Promise<Uint8Array> {
  // Not `new URL(name, import.meta.url)`: bundlers would put the address of a page there, or of another file.
  const folder = import.meta.url.replace(/[^/]*\/[^/]*$/, "weights/");
  try {
    return await readBytes(new URL(`${folder}minilm-static-${packagedWidth(dimensions)}.bin`), signal);
  } catch (error) {
    signal?.throwIfAborted();
    return inlineWeights(dimensions).catch(() => {
      throw error;
    });
  }
}

async function readBytes(file: URL, signal: AbortSignal | undefined): Promise<Uint8Array> {
  try {
    return await readFile(file, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new EmbedError("weights-unavailable", String(file), problem, `Install the package whole. ${ELSEWHERE}`, {
      cause,
    });
  }
}
