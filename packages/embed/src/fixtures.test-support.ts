import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";

/** Ids by Python's tokenizers. */
export interface TokensFixture {
  readonly cases: readonly { readonly text: string; readonly ids: readonly number[] }[];
}

/** Embeddings by numpy in float64, rounded once: base64 of float32. */
export interface EmbeddingsFixture {
  readonly cases: readonly { readonly text: string; readonly float32: string }[];
}

/** Pairs of texts and MiniLM's cosine, spread over its range. */
export interface SimilaritiesFixture {
  readonly pairs: readonly (readonly [string, string, number])[];
}

/** Reads one of the files that distil/fixtures.py wrote. */
export function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), "utf8")) as T;
}

/** The bytes of the package's weights. */
export function packagedWeights(width: 128 | 256 = 256): Uint8Array {
  return readFileSync(new URL(`../weights/minilm-static-${width}.bin`, import.meta.url));
}

/** Fields of a small weights file, true or lying. */
export interface SmallFile {
  readonly version?: number;
  readonly rows?: number;
  readonly dimensions?: number;
  readonly vocabularyBytes?: number;
  readonly vocabulary?: readonly string[];
  readonly scales?: readonly number[];
  readonly codes?: readonly number[];
}

/** A weights file with a valid checksum, written by the layout's description alone. */
export function smallWeights(file: SmallFile = {}): Uint8Array<ArrayBuffer> {
  const { vocabulary = ["a", "b", "##c"], scales = [0.5, 2, 1], codes = [3, 4, 0, -1, 127, -128] } = file;
  const tokens = new TextEncoder().encode(vocabulary.join("\n"));
  const bytes = new Uint8Array(24 + 4 * scales.length + codes.length + tokens.length);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("MLEM"));
  const header = [file.version ?? 1, file.rows ?? 3, file.dimensions ?? 2, file.vocabularyBytes ?? tokens.length];
  header.forEach((value, i) => {
    view.setUint32(8 + 4 * i, value, true);
  });
  scales.forEach((scale, i) => {
    view.setFloat32(24 + 4 * i, scale, true);
  });
  codes.forEach((code, i) => {
    view.setInt8(24 + 4 * scales.length + i, code);
  });
  bytes.set(tokens, bytes.length - tokens.length);
  view.setUint32(4, crc32(bytes.subarray(8)), true);
  return bytes;
}

/** The literal code with which `run` is refused, or what happened instead. */
export function refusalCode(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
  return "accepted";
}
