import { checkBytes } from "../base/bytes.js";
import { refuseLookalike } from "../base/lookalikes.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import { headerLength, layOut, PREFIX_BYTES, parseHeader } from "./header.js";

/**
 * The tensors of a safetensors file, as views of its bytes: nothing is copied, and work is bounded by the file's size.
 * @throws FormatError `invalid-argument`, and as the header is refused
 */
export function decodeSafetensors(bytes: Uint8Array): TensorFile {
  checkBytes(bytes);
  refuseLookalike(bytes, "file", "safetensors");
  const length = headerLength(bytes, bytes.length);
  const { metadata, tensors } = parseHeader(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + length), bytes.length);
  const views = new Map<string, Tensor>();
  for (const [name, { dtype, shape, offset, byteLength }] of tensors) {
    views.set(name, { dtype, shape, data: bytes.subarray(offset, offset + byteLength) });
  }
  return { metadata, tensors: views };
}

/** The one byte sequence of a file: what safetensors itself writes for the same tensors. @throws FormatError */
export function encodeSafetensors({ metadata, tensors }: TensorFile): Uint8Array {
  const { header, layout } = layOut(tensors, metadata);
  const last = [...layout.tensors.values()].at(-1);
  const bytes = new Uint8Array(last === undefined ? header.length : last.offset + last.byteLength);
  bytes.set(header);
  for (const [name, { offset }] of layout.tensors) bytes.set(tensors.get(name)!.data, offset);
  return bytes;
}
