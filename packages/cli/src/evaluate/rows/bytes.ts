import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";

/** The bytes of a file, unpacked where its name ends in .gz; `onBytes` is told how many of the file were read. */
export function byteStream(path: string, onBytes: (bytes: number) => void = () => {}): NodeJS.ReadableStream {
  const file = createReadStream(path, { highWaterMark: 1 << 20 });
  file.on("data", (chunk) => onBytes(chunk.length));
  if (!path.endsWith(".gz")) return file;
  const unpacked = createGunzip();
  file.on("error", (error) => unpacked.destroy(error));
  return file.pipe(unpacked);
}
