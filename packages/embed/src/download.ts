import { EmbedError } from "./errors.js";
import { ELSEWHERE } from "./remedies.js";
import { fileLength, foreignContent, HEADER_BYTES } from "./weights.js";

/** How much of the weights has arrived. */
export interface LoadProgress {
  /** Bytes so far, as they are after decompression. */
  readonly loaded: number;
  /** Bytes of the whole file, known from its header; undefined until that is there. */
  readonly total: number | undefined;
}

/** How a download is watched and ended. */
export interface DownloadOptions {
  readonly onProgress: ((progress: LoadProgress) => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Fetches a weights file. @throws EmbedError `weights-unavailable`, `not-weights`, `truncated-weights`, `corrupt-weights` */
export async function downloadWeights(address: string, options: DownloadOptions): Promise<Uint8Array> {
  const { signal } = options;
  let response: Response;
  try {
    response = await fetch(address, signal === undefined ? {} : { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw unavailable(address, cause);
  }
  return readResponse(response, address, options);
}

/**
 * The bytes of a response, which ends as soon as it turns out to be something else, or too long.
 * @param where what an error calls it
 */
export async function readResponse(response: Response, where: string, options: DownloadOptions): Promise<Uint8Array> {
  if (!response.ok) {
    throw new EmbedError("weights-unavailable", where, `the server answered with status ${response.status}`, ELSEWHERE);
  }
  if (response.bodyUsed) {
    throw new EmbedError("weights-unavailable", where, "the response was read already", "Pass a clone of it");
  }
  const contentType = response.headers.get("content-type") ?? "";
  const parts = new Parts(where, contentType, options.onProgress);
  const reader = response.body?.getReader();
  if (reader === undefined) return parts.end();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      options.signal?.throwIfAborted();
      if (done) return parts.end();
      parts.add(value);
    }
  } catch (cause) {
    await reader.cancel(cause).catch(() => {});
    options.signal?.throwIfAborted();
    // What a connection throws is an error of the platform; ours, and those of onProgress, are what they are.
    throw parts.isAdding ? cause : unavailable(where, cause);
  }
}

/** The parts of a file as they arrive. */
class Parts {
  /** Whether a part is being taken in, so that an error is not one of the connection. */
  isAdding = false;
  #bytes = new Uint8Array(HEADER_BYTES);
  #loaded = 0;
  #total: number | undefined;

  constructor(
    private readonly where: string,
    private readonly contentType: string,
    private readonly onProgress: DownloadOptions["onProgress"],
  ) {}

  add(part: Uint8Array): void {
    this.isAdding = true;
    this.#append(part);
    if (this.#total === undefined && this.#loaded >= HEADER_BYTES) this.#readHeader();
    if (this.#total !== undefined && this.#loaded > this.#total) {
      const problem = `more than the ${this.#total} bytes that its header asks for`;
      throw new EmbedError("corrupt-weights", this.where, problem, "Serve the file that came with the package");
    }
    this.onProgress?.({ loaded: this.#loaded, total: this.#total });
    this.isAdding = false;
  }

  /** All of it. @throws EmbedError `not-weights`, `truncated-weights` */
  end(): Uint8Array {
    this.isAdding = true;
    if (this.#total === undefined) this.#readHeader();
    if (this.#loaded !== this.#total) {
      const problem = `the answer ended after ${this.#loaded} of ${this.#total} bytes`;
      throw new EmbedError("truncated-weights", this.where, problem, "Load it again");
    }
    return this.#bytes.subarray(0, this.#loaded);
  }

  #append(part: Uint8Array): void {
    const needed = this.#loaded + part.length;
    if (needed > this.#bytes.length) {
      // Twice as much at a time, and the whole once that is known and near: a header alone reserves nothing.
      const doubled = Math.max(needed, 2 * this.#bytes.length);
      const larger = new Uint8Array(Math.max(needed, Math.min(doubled, this.#total ?? doubled)));
      larger.set(this.#bytes.subarray(0, this.#loaded));
      this.#bytes = larger;
    }
    this.#bytes.set(part, this.#loaded);
    this.#loaded = needed;
  }

  #readHeader(): void {
    const start = this.#bytes.subarray(0, this.#loaded);
    const foreign = foreignContent(start, this.contentType);
    if (foreign !== undefined) {
      throw new EmbedError("not-weights", this.where, `${foreign}, not the weights`, `Check the address. ${ELSEWHERE}`);
    }
    this.#total = fileLength(start, this.where);
  }
}

function unavailable(where: string, cause: unknown): EmbedError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  const remedy = `Check the address, and that the server lets this page have it. ${ELSEWHERE}`;
  return new EmbedError("weights-unavailable", where, problem, remedy, { cause });
}
