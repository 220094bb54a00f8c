import { downloadWeights, type LoadProgress, readResponse } from "./download.js";
import { createEmbedder, type EmbedderOptions, type TextEmbedder } from "./embedder.js";
import { EmbedError, shown } from "./errors.js";
import { storeOf, type WeightsCache } from "./weights-cache.js";

/** Where weights come from: their bytes, their address, or an answer that has them. */
export type WeightsSource = Uint8Array | ArrayBuffer | URL | string | Response;

/** {@link EmbedderOptions}, where the weights come from, and how they are fetched. */
export interface LoadOptions extends EmbedderOptions {
  /** Bytes of a weights file, its address, or a response that holds it (default: the package's own weights). */
  readonly weights?: WeightsSource;
  /** Called as the bytes arrive, at last with `loaded` equal to `total`. What it throws ends the loading. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Ends the loading, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Whether fetched weights are kept for the next time: true and false, or a place of your own. Default: true, in the
   * browser's Cache Storage where there is one, so that a page that was opened once works offline.
   */
  readonly cache?: boolean | WeightsCache;
}

/** How an entry point gets the package's own weights. */
export type DefaultWeights = (options: LoadOptions) => WeightsSource | Promise<WeightsSource>;

const OPTIONS: readonly string[] = ["dimensions", "maxTokens", "weights", "onProgress", "signal", "cache"];

/**
 * Loads an embedder.
 *
 * @param defaultWeights where weights come from if no option says so
 * @throws EmbedError; the signal's reason; what `onProgress` throws
 */
export async function loadFrom(options: LoadOptions, defaultWeights: DefaultWeights): Promise<TextEmbedder> {
  checkOptions(options);
  const { weights, onProgress, signal, cache = true, dimensions, maxTokens } = options;
  const create = (bytes: Uint8Array) => createEmbedder(bytes, withoutUndefined({ dimensions, maxTokens }));
  signal?.throwIfAborted();
  const source = weights === undefined ? await defaultWeights(options) : weights;
  signal?.throwIfAborted();
  const told = (bytes: Uint8Array) => {
    const embedder = create(bytes);
    onProgress?.({ loaded: bytes.length, total: bytes.length });
    return embedder;
  };
  if (source instanceof Uint8Array) return told(source);
  if (source instanceof ArrayBuffer) return told(new Uint8Array(source));
  if (isResponse(source)) return create(await readResponse(source, "weights", { onProgress, signal }));

  const url = addressOf(source);
  const store = storeOf(cache);
  const kept = await store?.get(url);
  if (kept !== undefined) {
    // A cached file is trusted only as far as its checksum.
    const embedder = orUndefined(() => create(kept));
    if (embedder !== undefined) return told(kept);
  }
  const bytes = await downloadWeights(url, { onProgress, signal });
  const embedder = create(bytes);
  await store?.set(url, bytes);
  return embedder;
}

function checkOptions(options: LoadOptions): void {
  if (typeof options !== "object" || options === null) {
    throw new EmbedError("invalid-option", "options", `got ${shown(options)}`, "Pass an object");
  }
  for (const name of Object.keys(options)) {
    if (OPTIONS.includes(name)) continue;
    throw new EmbedError("invalid-option", name, "there is no such option", `There are ${OPTIONS.join(", ")}`);
  }
  const { onProgress, signal, cache = true } = options;
  check(onProgress === undefined || typeof onProgress === "function", "onProgress", onProgress, "Pass a function");
  check(signal === undefined || typeof signal?.throwIfAborted === "function", "signal", signal, "Pass an AbortSignal");
  const isStore = typeof cache === "object" && typeof cache?.get === "function" && typeof cache.set === "function";
  check(typeof cache === "boolean" || isStore, "cache", cache, "Pass true, false, or an object with get and set");
}

function check(isRight: boolean, name: string, value: unknown, remedy: string): void {
  if (!isRight) throw new EmbedError("invalid-option", name, `got ${shown(value)}`, remedy);
}

function addressOf(source: unknown): string {
  if (source instanceof URL) return source.href;
  // In a page, `fetch` takes an address relative to the page.
  if (typeof source === "string" && source !== "") return source;
  const remedy = "Pass the bytes of a weights file, its URL, or a Response that holds it";
  throw new EmbedError("invalid-option", "weights", `got ${shown(source)}`, remedy);
}

function isResponse(source: unknown): source is Response {
  return typeof Response === "function" && source instanceof Response;
}

function orUndefined<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

/** Options without those that were passed as undefined, which `exactOptionalPropertyTypes` tells apart. */
function withoutUndefined(options: { readonly [K in keyof EmbedderOptions]: EmbedderOptions[K] | undefined }) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as EmbedderOptions;
}
