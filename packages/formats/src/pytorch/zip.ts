import { FormatError, shown } from "../base/errors.js";

/** Bytes that a zip archive begins with: its first member's header. */
export const ZIP_MAGIC = Uint8Array.of(0x50, 0x4b, 0x03, 0x04);

const REMEDY = "Save it again, or restore the file from a copy";
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const [END, ZIP64_LOCATOR, ZIP64_END, CENTRAL, LOCAL] = [
  0x0605_4b50, 0x0706_4b50, 0x0606_4b50, 0x0201_4b50, 0x0403_4b50,
];
const IN_ZIP64 = 0xffff_ffff;

/**
 * The members of a zip archive that stores them as they are, as views; what PyTorch and `numpy.savez` write. By PKWARE's
 * APPNOTE 6.3.10, sections 4.3 and 4.5.
 * @throws FormatError `not-this-format`, `truncated`, `bad-offset`, `duplicate-name`, `unsupported-variant`
 */
export function readZip(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { count, start, end } = directoryOf(view);
  const members = new Map<string, Uint8Array>();
  let at = start;
  let used = 0;
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > end || view.getUint32(at, true) !== CENTRAL) refuse(at, "is no entry of the directory");
    const { name, next, ...place } = readEntry(view, bytes, at, end);
    if (members.has(name)) throw new FormatError("duplicate-name", shown(name), "is the name of two members", REMEDY);
    const data = memberAt(view, bytes, name, place);
    // Members may lie on top of each other: what all of them hold may still not be more than the file.
    used += data.length;
    if (used > bytes.length) refuse(place.offset, "shares its bytes with other members");
    members.set(name, data);
    at = next;
  }
  return members;
}

interface Directory {
  readonly count: number;
  readonly start: number;
  readonly end: number;
}

/** The end of the archive, which is looked for from behind, and what it says of the directory. */
function directoryOf(view: DataView): Directory {
  const first = Math.max(0, view.byteLength - END_BYTES - MAX_COMMENT_BYTES);
  for (let at = view.byteLength - END_BYTES; at >= first; at--) {
    if (view.getUint32(at, true) !== END) continue;
    const [count, size, start] = [
      view.getUint16(at + 10, true),
      view.getUint32(at + 12, true),
      view.getUint32(at + 16, true),
    ];
    const isZip64 = count === 0xffff || size === IN_ZIP64 || start === IN_ZIP64;
    const directory = isZip64 ? zip64Directory(view, at) : { count, start, end: start + size };
    if (directory.end > at || directory.start > directory.end) refuse(at, "puts the directory outside of the file");
    if (directory.count * CENTRAL_BYTES > directory.end - directory.start) refuse(at, "counts more members than fit");
    return directory;
  }
  throw new FormatError("truncated", "file", "lacks the end of a zip archive", "Fetch the whole file");
}

function zip64Directory(view: DataView, end: number): Directory {
  const locator = end - 20;
  if (locator < 0 || view.getUint32(locator, true) !== ZIP64_LOCATOR) refuse(end, "has no zip64 end before it");
  const at = sizeAt(view, locator + 8);
  if (at + 56 > end || view.getUint32(at, true) !== ZIP64_END) refuse(locator, "leads to no zip64 end");
  const start = sizeAt(view, at + 48);
  return { count: sizeAt(view, at + 32), start, end: start + sizeAt(view, at + 40) };
}

interface Place {
  readonly method: number;
  readonly size: number;
  readonly offset: number;
}

function readEntry(view: DataView, bytes: Uint8Array, at: number, end: number): Place & { name: string; next: number } {
  const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => view.getUint16(at + field, true)) as [
    number,
    number,
    number,
  ];
  const extra = at + CENTRAL_BYTES + nameBytes;
  const next = extra + extraBytes + commentBytes;
  if (next > end) refuse(at, "ends after the directory");
  const name = new TextDecoder().decode(bytes.subarray(at + CENTRAL_BYTES, extra));
  const [packed, unpacked, offset] = zip64Fields(view, extra, extra + extraBytes, [
    view.getUint32(at + 20, true),
    view.getUint32(at + 24, true),
    view.getUint32(at + 42, true),
  ]);
  const method = view.getUint16(at + 10, true);
  if (method !== 0 || packed !== unpacked) {
    throw new FormatError("unsupported-variant", shown(name), "is compressed", "Pack it again without compression");
  }
  return { method, size: packed, offset, name, next };
}

/** Packed size, size and offset; those that do not fit 32 bits are in the extra field 1, in their order in the standard. */
function zip64Fields(
  view: DataView,
  start: number,
  end: number,
  [packed, unpacked, offset]: readonly [number, number, number],
): readonly [packed: number, unpacked: number, offset: number] {
  if (packed !== IN_ZIP64 && unpacked !== IN_ZIP64 && offset !== IN_ZIP64) return [packed, unpacked, offset];
  for (let at = start; at + 4 <= end; ) {
    const [id, length] = [view.getUint16(at, true), view.getUint16(at + 2, true)];
    let field = at + 4;
    at = field + length;
    if (id !== 1 || at > end) continue;
    const next = (value: number) => {
      if (value !== IN_ZIP64) return value;
      if (field + 8 > at) return refuse(field, "lacks a size of zip64");
      field += 8;
      return sizeAt(view, field - 8);
    };
    const size = next(unpacked);
    return [next(packed), size, next(offset)];
  }
  return refuse(start, "lacks the sizes of zip64");
}

function memberAt(view: DataView, bytes: Uint8Array, name: string, { size, offset }: Place): Uint8Array {
  if (offset + LOCAL_BYTES > bytes.length || view.getUint32(offset, true) !== LOCAL) refuse(offset, "is no member");
  const start = offset + LOCAL_BYTES + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
  if (start + size > bytes.length) {
    const problem = `takes ${size} bytes from ${start}, the file has ${bytes.length}`;
    throw new FormatError("truncated", shown(name), problem, "Fetch the whole file");
  }
  return bytes.subarray(start, start + size);
}

function sizeAt(view: DataView, at: number): number {
  const value = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
  return Number.isSafeInteger(value) ? value : refuse(at, `says ${value}`);
}

function refuse(at: number, problem: string): never {
  throw new FormatError("bad-offset", `byte ${at}`, problem, REMEDY);
}
