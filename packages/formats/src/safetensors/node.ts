import type { FileHandle } from "node:fs/promises";
import { FormatError, shown } from "../base/errors.js";
import { LOOKALIKE_BYTES, refuseLookalike } from "../base/lookalikes.js";
import { openFile } from "../base/node.js";
import type { Tensor } from "../picture/tensor-file.js";
import { headerLength, type Layout, PREFIX_BYTES, parseHeader, type TensorPlace } from "./header.js";

/**
 * A safetensors file of which only the header is read, and then what is asked for. Close it, or declare it with
 * `await using`.
 */
export class SafetensorsReader implements AsyncDisposable {
  /** Where each tensor is. */
  readonly layout: Layout;
  /** The file's first bytes, up to where its tensors begin. */
  readonly header: Uint8Array;
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle, layout: Layout, header: Uint8Array) {
    this.#handle = handle;
    this.layout = layout;
    this.header = header;
  }

  /** Opens a file, and reads its header. @throws FormatError as `decodeSafetensors`, and `cannot-read` */
  static async open(path: string): Promise<SafetensorsReader> {
    const handle = await openFile(path);
    try {
      const { size } = await handle.stat();
      const start = await readAt(handle, 0, Math.min(LOOKALIKE_BYTES, size));
      refuseLookalike(start, "file", "safetensors");
      const header = await readAt(handle, 0, PREFIX_BYTES + headerLength(start, size));
      return new SafetensorsReader(handle, parseHeader(header.subarray(PREFIX_BYTES), size), header);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Reads one tensor. @throws FormatError `missing-tensor`, `truncated` */
  async read(name: string): Promise<Tensor> {
    const { dtype, shape, offset, byteLength } = this.#place(name);
    return { dtype, shape, data: await this.readBytes(offset, byteLength) };
  }

  /** Reads rows of one tensor, along its first dimension. @throws FormatError `missing-tensor`, `invalid-argument` */
  async readRows(name: string, begin: number, end: number): Promise<Tensor> {
    const { dtype, shape, offset, byteLength } = this.#place(name);
    const [rows = 0, ...rest] = shape;
    const rowBytes = byteLength / rows;
    if (
      !(begin >= 0 && begin <= end && end <= rows) ||
      !Number.isInteger(begin * rowBytes) ||
      !Number.isInteger(end * rowBytes)
    ) {
      throw new FormatError("invalid-argument", name, `has no rows ${begin} to ${end}`, `Ask for some of 0 to ${rows}`);
    }
    const data = await this.readBytes(offset + begin * rowBytes, (end - begin) * rowBytes);
    return { dtype, shape: [end - begin, ...rest], data };
  }

  /** Reads bytes of the part of the file that has the tensors. @throws FormatError `truncated` if the file has become shorter */
  readBytes(offset: number, byteLength: number): Promise<Uint8Array> {
    return readAt(this.#handle, offset, byteLength);
  }

  /** As `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  #place(name: string): TensorPlace {
    const place = this.layout.tensors.get(name);
    if (place !== undefined) return place;
    throw new FormatError("missing-tensor", shown(name), "is not in the file", "Ask for one of layout.tensors");
  }
}

async function readAt(handle: FileHandle, offset: number, byteLength: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(byteLength);
  let done = 0;
  while (done < byteLength) {
    const { bytesRead } = await handle.read(bytes, done, byteLength - done, offset + done);
    if (bytesRead === 0) {
      throw new FormatError("truncated", `byte ${offset + done}`, "is the end of the file", "Read it again");
    }
    done += bytesRead;
  }
  return bytes;
}
