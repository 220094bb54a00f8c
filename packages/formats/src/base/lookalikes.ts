import { FormatError } from "./errors.js";

/** Number of bytes that suffice to recognise a file. */
export const LOOKALIKE_BYTES = 64;

/** A kind of file that is told by how it begins. */
interface Kind {
  /** Name of the kind of file, for a refusal. */
  readonly is: string;
  readonly remedy: string;
  matches(start: Uint8Array, text: string): boolean;
}

const begins =
  (...bytes: readonly number[]) =>
  (start: Uint8Array) =>
    start.length >= bytes.length && bytes.every((byte, i) => start[i] === byte);

const OTHER = "Pass the file itself: the command's other formats are told by their first bytes";

/** Files that end up in the place of others, most often by a download that went wrong. */
const KINDS = {
  lfs: {
    is: "is a Git LFS pointer, a few lines of text in place of the file",
    remedy: "Fetch the file itself: git lfs pull, or download it again",
    matches: (_, text) => text.startsWith("version https://git-lfs.github.com/spec/"),
  },
  html: {
    is: "is an HTML page, not the file itself",
    remedy: "Download the file itself: a link to the raw file, and a login where the repository asks for one",
    matches: (_, text) => /^\s*<(?:!doctype|html|\?xml|head|body)/i.test(text),
  },
  gguf: { is: "is a GGUF file of llama.cpp", remedy: OTHER, matches: begins(0x47, 0x47, 0x55, 0x46) },
  zip: {
    is: "is a zip archive, as PyTorch saves its own and NumPy its arrays",
    remedy: "Pass PyTorch's file under a name that ends in .bin, .pt or .pth, or unpack the archive",
    matches: begins(0x50, 0x4b, 0x03, 0x04),
  },
  gzip: { is: "is compressed with gzip", remedy: "Unpack it first", matches: begins(0x1f, 0x8b) },
  safetensors: {
    is: "is a safetensors file",
    remedy: OTHER,
    matches: (start) => start[8] === 0x7b && start.subarray(4, 8).every((byte) => byte === 0),
  },
  json: { is: "is JSON", remedy: OTHER, matches: (_, text) => /^\s*\{\s*"/.test(text) },
} as const satisfies Readonly<Record<string, Kind>>;

export type LookalikeKind = keyof typeof KINDS;

/**
 * Refuses a file that is of another kind than the one it is read as, and says which.
 * @param start the file's first bytes
 * @param expected the kind that it may be; undefined for one that is none of the kinds that are told here
 * @throws FormatError `not-this-format`
 */
export function refuseLookalike(start: Uint8Array, where: string, expected?: LookalikeKind): void {
  const text = new TextDecoder("latin1").decode(start.subarray(0, LOOKALIKE_BYTES));
  for (const [name, kind] of Object.entries(KINDS) as [LookalikeKind, Kind][]) {
    if (!kind.matches(start, text)) continue;
    // A kind that is expected is right, whatever else it might be.
    if (name === expected) return;
    throw new FormatError("not-this-format", where, kind.is, kind.remedy);
  }
}
