import { hexOf, sha256 } from "../base/sha256.js";
import type { ModelFiles } from "./files.js";

/** Bytes looked at on either end of a weight. */
const SAMPLE = 2048;

/**
 * What tells one base model from another: a SHA-256 over its operators and over the name, type, dimensions and both ends of
 * every weight. A fine-tuned copy has another one; the same weights inline or in a data file have the same.
 */
export async function fingerprintOf({ model, read }: ModelFiles): Promise<string> {
  const { nodes, initializers } = model.graph;
  const text = nodes.map(({ domain, op, inputs, outputs }) => `${domain}:${op}(${inputs})->${outputs}`).join("\n");
  const parts: Uint8Array[] = [new TextEncoder().encode(text)];
  for (const [name, tensor] of initializers) {
    const { data } = tensor;
    const length = data.kind === "bytes" ? data.bytes.length : data.kind === "external" ? data.length : 0;
    parts.push(new TextEncoder().encode(`\n${name} ${tensor.dtype} ${tensor.dims}\n`));
    parts.push(read(tensor, 0, Math.min(SAMPLE, length)));
    const end = Math.max(SAMPLE, length - SAMPLE);
    if (length > SAMPLE) parts.push(read(tensor, end, length - end));
  }
  return `onnx-sha256:${hexOf(await sha256(...parts))}`;
}
