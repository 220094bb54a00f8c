import { EmbedError } from "./errors.js";
import { packagedWidth } from "./packaged-width.js";
import { ELSEWHERE } from "./remedies.js";

/**
 * Where the package's weights lie: the address that a bundler gave their file, or one beside the package's code.
 *
 * @param dimensions the width that is needed: up to 128, the smaller file (default 256)
 * @throws EmbedError `weights-unavailable` where code has no address
 */
export function weightsUrl(dimensions?: number): URL {
  try {
    // Each is written out, since bundlers find files by this form.
    return packagedWidth(dimensions) === 128
      ? new URL("../weights/minilm-static-128.bin", import.meta.url)
      : new URL("../weights/minilm-static-256.bin", import.meta.url);
  } catch (cause) {
    throw new EmbedError("weights-unavailable", "weights", "this code has no address", ELSEWHERE, { cause });
  }
}
