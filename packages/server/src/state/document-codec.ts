import { MicroLoraError } from "microlora";

/** A document of an index. */
export interface StoredDocument {
  readonly id: string;
  /** Its embedding [dimensions]. */
  readonly vector: Float32Array;
  /** What was embedded, if it came as text. */
  readonly text?: string;
  /** What the caller keeps with it. */
  readonly payload?: Readonly<Record<string, unknown>>;
}

/**
 * Documents as bytes: the length of a JSON header as uint32, the header, and the vectors as float32, both little-endian. The store adds the
 * checksum.
 */
export function encodeDocuments(documents: readonly StoredDocument[], dimensions: number): Uint8Array {
  const header = { dimensions, documents: documents.map(({ vector: _, ...rest }) => rest) };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(4 + json.length + 4 * dimensions * documents.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, 4);
  for (const [i, { vector }] of documents.entries()) {
    bytes.set(new Uint8Array(vector.buffer, vector.byteOffset, 4 * dimensions), 4 + json.length + 4 * dimensions * i);
  }
  return bytes;
}

/** What `encodeDocuments` wrote. @throws MicroLoraError `corrupt-checkpoint` */
export function decodeDocuments(bytes: Uint8Array, dimensions: number): StoredDocument[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = bytes.length < 4 ? Number.POSITIVE_INFINITY : view.getUint32(0, true);
  if (4 + length > bytes.length) throw corrupt("the header is cut");
  const header = parsed(bytes.subarray(4, 4 + length));
  const { documents } = header;
  if (header.dimensions !== dimensions) {
    const problem = `are ${header.dimensions} wide, where ${dimensions} are wanted`;
    throw new MicroLoraError("wrong-base", "documents", problem, "Use the embedder that they were made with");
  }
  if (bytes.length !== 4 + length + 4 * dimensions * documents.length) throw corrupt("the vectors are cut");
  const floats = new Float32Array(bytes.slice(4 + length).buffer);
  return documents.map((rest, i) => ({ ...rest, vector: floats.subarray(i * dimensions, (i + 1) * dimensions) }));
}

interface Header {
  readonly dimensions: number;
  readonly documents: readonly Omit<StoredDocument, "vector">[];
}

function parsed(json: Uint8Array): Header {
  try {
    return JSON.parse(new TextDecoder().decode(json)) as Header;
  } catch {
    throw corrupt("the header is not JSON");
  }
}

function corrupt(problem: string): MicroLoraError {
  return new MicroLoraError("corrupt-checkpoint", "documents", problem, "Use an older snapshot");
}
