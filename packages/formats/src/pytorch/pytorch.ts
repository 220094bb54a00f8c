import { checkBytes } from "../base/bytes.js";
import { Cursor } from "../base/cursor.js";
import { FormatError, shown } from "../base/errors.js";
import { refuseLookalike } from "../base/lookalikes.js";
import type { ReadFormat } from "../format.js";
import { decodeTensors } from "../layouts/decode-tensors.js";
import { DTYPE_BITS, type DType } from "../picture/dtype.js";
import { elementCount, type Tensor, type TensorFile } from "../picture/tensor-file.js";
import { Constructed, Global, type Meanings, readPickle, type Value } from "./pickle.js";
import { readZip, ZIP_MAGIC } from "./zip.js";

/** What PyTorch calls the element types of its storages. */
const STORAGES: ReadonlyMap<string, DType> = new Map([
  ["torch.DoubleStorage", "F64"],
  ["torch.FloatStorage", "F32"],
  ["torch.HalfStorage", "F16"],
  ["torch.BFloat16Storage", "BF16"],
  ["torch.LongStorage", "I64"],
  ["torch.IntStorage", "I32"],
  ["torch.ShortStorage", "I16"],
  ["torch.CharStorage", "I8"],
  ["torch.ByteStorage", "U8"],
  ["torch.BoolStorage", "BOOL"],
]);

const REMEDY = "Save a dictionary of tensors alone with torch.save, or save it as safetensors";

/** Numbers of the file that tensors are views of. */
interface Storage {
  readonly dtype: DType;
  readonly key: string;
  readonly length: number;
}

/** A tensor before the storages are known. */
interface Strided {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** Adapters in files of `torch.save`, such as PEFT's `adapter_model.bin`; they are read, and never written. */
export const pytorch: ReadFormat = {
  title: "PyTorch file",
  extension: ".pt",
  matches: isPyTorch,
  decode: (bytes, options) => decodeTensors(decodePyTorch(bytes), options),
};

/** Whether bytes begin as a file of `torch.save` does, of this or of an older version. */
export function isPyTorch(start: Uint8Array): boolean {
  return [ZIP_MAGIC, LEGACY_MAGIC].some((magic) => magic.every((byte, i) => start[i] === byte));
}

/**
 * The tensors of a file of `torch.save`, such as PEFT's `adapter_model.bin`, without running what is in it: the pickle may
 * name tensors and dictionaries, and nothing else. Of a checkpoint that holds more, its `state_dict`.
 * @throws FormatError `unsupported-variant` for a file that asks for anything else to be run, by its name; `not-this-format`,
 * `truncated`, `bad-header`, `bad-offset`, `bad-shape`, `too-large`
 */
export function decodePyTorch(bytes: Uint8Array): TensorFile {
  checkBytes(bytes);
  refuseLookalike(bytes, "file", "zip");
  if (!isPyTorch(bytes)) {
    throw new FormatError("not-this-format", "byte 0", "is not the beginning of a file of torch.save", REMEDY);
  }
  const isZip = ZIP_MAGIC.every((byte, i) => bytes[i] === byte);
  const { value, storages } = isZip ? readArchive(bytes) : readLegacy(bytes);
  const tensors = new Map<string, Tensor>();
  // Tensors may share storages; a copy of each shall not be more than a few times the file.
  let left = MAX_FACTOR * bytes.length;
  for (const [name, strided] of tensorsOf(value)) {
    const tensor = viewOf(name, strided, storages, (size) => {
      left -= size;
      if (left < 0) throw new FormatError("too-large", shown(name), "shares its bytes with many others", REMEDY);
    });
    tensors.set(name, tensor);
  }
  return { metadata: new Map(), tensors };
}

const MAX_FACTOR = 4;

/** The bytes of a storage by its key. */
type Storages = (key: string) => Uint8Array | undefined;

/** Since PyTorch 1.6: a zip archive of one folder with `data.pkl`, and each storage as a member `data/KEY`. */
function readArchive(bytes: Uint8Array): { value: Value; storages: Storages } {
  const members = readZip(bytes);
  const [name] = [...members.keys()].filter((member) => /^[^/]*\/data\.pkl$/.test(member));
  if (name === undefined) {
    throw new FormatError("not-this-format", "file", "is a zip archive without data.pkl", "Pass a file of torch.save");
  }
  const folder = name.slice(0, -"data.pkl".length);
  const order = members.get(`${folder}byteorder`);
  if (order !== undefined && new TextDecoder().decode(order) !== "little") {
    throw new FormatError("unsupported-version", "byteorder", "is big-endian", "Save it on a little-endian machine");
  }
  const value = readPickle(new Cursor(members.get(name)!), MEANINGS);
  return { value, storages: (key) => members.get(`${folder}data/${key}`) };
}

/** The pickled number 0x1950a86a20f9469cfc6c, `MAGIC_NUMBER` in torch/serialization.py. */
const LEGACY_MAGIC = Uint8Array.of(0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19);

/** Before PyTorch 1.6: pickles of magic number, version, machine and value, the keys of storages, then each storage. */
function readLegacy(bytes: Uint8Array): { value: Value; storages: Storages } {
  const cursor = new Cursor(bytes);
  const lengths = new Map<string, Storage>();
  const meanings: Meanings = {
    ...MEANINGS,
    persistent(id) {
      const constructed = MEANINGS.persistent(id);
      const storage = (constructed as Constructed).value as Storage;
      lengths.set(storage.key, storage);
      return constructed;
    },
  };
  readPickle(cursor, meanings);
  readPickle(cursor, meanings);
  readPickle(cursor, meanings);
  const value = readPickle(cursor, meanings);
  const keys = readPickle(cursor, meanings);
  const data = new Map<string, Uint8Array>();
  for (const key of Array.isArray(keys) ? keys : []) {
    const storage = typeof key === "string" ? lengths.get(key) : undefined;
    const count = cursor.size("the length of a storage");
    if (storage === undefined) {
      throw new FormatError("bad-header", shown(key), "is a storage that no tensor has", REMEDY);
    }
    data.set(storage.key, cursor.bytes((count * DTYPE_BITS[storage.dtype]) / 8, "a storage"));
  }
  return { value, storages: (key) => data.get(key) };
}

const MEANINGS: Meanings = {
  calls: new Map<string, (args: readonly Value[]) => Value>([
    ["collections.OrderedDict", ([items]) => (Array.isArray(items) && items.length > 0 ? notData() : new Map())],
    ["torch._utils._rebuild_tensor", rebuild],
    ["torch._utils._rebuild_tensor_v2", rebuild],
    ["torch._utils._rebuild_parameter", ([tensor]) => tensor ?? null],
    ["torch.Size", ([sizes]) => sizes ?? null],
  ]),
  isKnown: (name) => STORAGES.has(name),
  /** ("storage", its type, its key, the device it was on, its length, and a view's place, which is None). */
  persistent(id) {
    const [kind, type, key, , length] = Array.isArray(id) ? (id as readonly Value[]) : [];
    const dtype = type instanceof Global ? STORAGES.get(type.name) : undefined;
    const isStorage = kind === "storage" && typeof key === "string" && isCount(length);
    if (!isStorage || dtype === undefined) return notData();
    return new Constructed({ dtype, key, length } satisfies Storage);
  },
};

/** (storage, offset, sizes, strides, …) */
function rebuild([storage, offset, shape, strides]: readonly Value[]): Value {
  const isPlaced = storage instanceof Constructed && isCount(offset) && isCounts(shape) && isCounts(strides);
  if (!isPlaced || shape.length !== strides.length || !isStorage(storage.value)) return notData();
  return new Constructed({ storage: storage.value, offset, shape, strides } satisfies Strided);
}

function isStorage(value: unknown): value is Storage {
  return typeof value === "object" && value !== null && "key" in value;
}

function isStrided(value: unknown): value is Strided {
  return typeof value === "object" && value !== null && "strides" in value;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= MAX_DIMENSIONS && value.every(isCount);
}

const MAX_DIMENSIONS = 8;

function notData(): never {
  throw new FormatError("bad-header", "data.pkl", "describes a tensor in a way that is not known here", REMEDY);
}

/** The keys under which trainers keep the tensors of a checkpoint that holds more. */
const STATE_KEYS = ["state_dict", "model", "module", "adapter"];

function tensorsOf(value: Value): readonly (readonly [string, Strided])[] {
  if (value instanceof Map) {
    const tensors = [...value].flatMap(([name, entry]) =>
      typeof name === "string" && entry instanceof Constructed && isStrided(entry.value)
        ? [[name, entry.value] as const]
        : [],
    );
    if (tensors.length > 0) return tensors;
    for (const key of STATE_KEYS) {
      const inner = value.get(key);
      if (inner instanceof Map && [...inner.values()].some((entry) => entry instanceof Constructed))
        return tensorsOf(inner);
    }
  }
  throw new FormatError("missing-tensor", "data.pkl", "is no dictionary of tensors", REMEDY);
}

function viewOf(name: string, strided: Strided, storages: Storages, spend: (bytes: number) => void): Tensor {
  const { storage, offset, shape, strides } = strided;
  const width = DTYPE_BITS[storage.dtype] / 8;
  const count = elementCount(shape, shown(name));
  const bytes = storages(storage.key);
  if (bytes === undefined) throw new FormatError("missing-tensor", shown(name), "has no storage in the file", REMEDY);
  const last = count === 0 ? offset : shape.reduce((at, size, i) => at + (size - 1) * strides[i]!, offset);
  if (count > 0 && (last + 1) * width > bytes.length) {
    const problem = `ends at element ${last + 1} of a storage of ${Math.floor(bytes.length / width)}`;
    throw new FormatError("bad-offset", shown(name), problem, REMEDY);
  }
  spend(count * width);
  const isContiguous =
    count === 0 || shape.every((size, i) => size === 1 || strides[i] === product(shape.slice(i + 1)));
  const start = offset * width;
  const data = isContiguous ? bytes.subarray(start, start + count * width) : gathered(bytes, strided, count, width);
  return { dtype: storage.dtype, shape, data };
}

/** Elements of a transposed or cut tensor, one after the other. */
function gathered(bytes: Uint8Array, { offset, shape, strides }: Strided, count: number, width: number): Uint8Array {
  const data = new Uint8Array(count * width);
  const index = shape.map(() => 0);
  let at = offset;
  for (let i = 0; i < count; i++) {
    for (let byte = 0; byte < width; byte++) data[i * width + byte] = bytes[at * width + byte]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return data;
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((all, size) => all * size, 1);
}
