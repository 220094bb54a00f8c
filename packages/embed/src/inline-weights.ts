import { fromBase64 } from "./base64.js";
import { packagedWidth } from "./packaged-width.js";

/** The weights as code, a module of several megabytes that is imported when it is asked for. */
export async function inlineWeights(dimensions?: number): Promise<Uint8Array> {
  const { base64 } =
    packagedWidth(dimensions) === 128
      ? await import("./weights-128.generated.js")
      : await import("./weights-256.generated.js");
  return fromBase64(base64);
}
