import { OnnxError } from "../base/errors.js";
import type { DType, Tensor } from "../graph/ir.js";
import { dequantize, fromHalves, type Groups, readBlocks } from "./blocks.js";
import { type GgufFile, type GgufTensor, readTensor } from "./read.js";
import { GGML_TYPES, isFloatType } from "./types.js";

/** How weights in blocks reach onnxruntime. */
export type WeightMode =
  /** In the blocks of the file: 4 or 8 bits a weight. */
  | "blocks"
  /** Dequantised: four to eight times the memory. */
  | "float32";

/** A matrix [rows, columns], as the graph takes it. */
export type Matrix = FloatMatrix | BlockMatrix;

export interface FloatMatrix {
  readonly kind: "floats";
  readonly rows: number;
  readonly columns: number;
  readonly name: string;
}

/** Element = scale * (code - middle) + offset, in groups of a row. */
export interface BlockMatrix {
  readonly kind: "blocks";
  readonly rows: number;
  readonly columns: number;
  readonly bits: 4 | 8;
  readonly size: 16 | 32;
  /** uint8 [rows, columns / size, size * bits / 8], as MatMulNBits takes it. */
  readonly codes: string;
  /** float32 [rows, columns / size]. */
  readonly scales: string;
  readonly offsets: string | undefined;
}

/** Reads tensors of a GGUF file and keeps what the graph takes of them, each under a name of its own. */
export class Weights {
  readonly initializers = new Map<string, Tensor>();
  /** Elements in ONNX's raw layout, by the location that initializers refer to. */
  readonly data = new Map<string, Uint8Array>();
  readonly #file: GgufFile;
  readonly #mode: WeightMode;

  constructor(file: GgufFile, mode: WeightMode) {
    this.#file = file;
    this.#mode = mode;
  }

  has(tensor: string): boolean {
    return this.#file.tensors.has(tensor);
  }

  /**
   * A matrix under a name of its own.
   * @param order the row of the file that each row is, undefined for the file's own
   */
  matrix(tensor: string, rows: number, columns: number, name: string, order?: Uint32Array): Matrix {
    const found = this.#checked(tensor, [rows, columns]);
    const bytes = reorder(readTensor(this.#file, found), rows, order);
    if (isFloatType(found.type)) return this.#floats(floatsOf(found, bytes), rows, columns, name);
    const groups = readBlocks(found.type, bytes);
    checkFinite(groups.scales, tensor);
    if (this.#mode === "float32") return this.#floats(dequantize(groups), rows, columns, name);
    return this.#blocks(groups, rows, columns, name);
  }

  /** A vector of floats. */
  vector(tensor: string, length: number, name: string, order?: Uint32Array): string {
    return this.add(name, "float32", [length], this.values(tensor, length, order));
  }

  /** The elements of a vector. @param length of which it must be */
  values(tensor: string, length: number, order?: Uint32Array): Float32Array {
    const found = this.#checked(tensor, [length]);
    const bytes = readTensor(this.#file, found);
    const values = isFloatType(found.type) ? floatsOf(found, bytes) : dequantize(readBlocks(found.type, bytes));
    checkFinite(values, tensor);
    return order === undefined ? values : Float32Array.from(order, (from) => values[from]!);
  }

  /** Keeps elements, and gives their name. Small ones go into the graph itself, where shape inference sees them. */
  add(name: string, dtype: DType, dims: readonly number[], elements: ArrayBufferView): string {
    const bytes = new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
    if (bytes.length < 1024) {
      this.initializers.set(name, { dtype, dims, data: { kind: "bytes", bytes } });
      return name;
    }
    this.data.set(name, bytes);
    return this.#refer(name, dtype, dims, name);
  }

  /** The bytes of a matrix in blocks as uint8 [rows, columns * bits / 8], as GatherBlockQuantized takes them. */
  tableOf({ codes, rows, columns, bits }: BlockMatrix): string {
    return this.#refer(`${codes}.table`, "uint8", [rows, (columns * bits) / 8], codes);
  }

  #refer(name: string, dtype: DType, dims: readonly number[], location: string): string {
    const { length } = this.data.get(location)!;
    this.initializers.set(name, { dtype, dims, data: { kind: "external", location, offset: 0, length } });
    return name;
  }

  #floats(values: Float32Array, rows: number, columns: number, name: string): FloatMatrix {
    checkFinite(values, name);
    return { kind: "floats", rows, columns, name: this.add(`${name}.weight`, "float32", [rows, columns], values) };
  }

  #blocks({ bits, size, codes, scales, offsets }: Groups, rows: number, columns: number, name: string): BlockMatrix {
    const groups = columns / size;
    const packed = bits === 4 ? packNibbles(codes) : packBytes(codes);
    const weight = `${name}.weight`;
    this.data.set(weight, packed);
    return {
      ...{ kind: "blocks", rows, columns, bits, size },
      codes: this.#refer(weight, "uint8", [rows, groups, (size * bits) / 8], weight),
      scales: this.add(`${name}.scales`, "float32", [rows, groups], scales),
      offsets: offsets && this.add(`${name}.offsets`, "float32", [rows, groups], offsets),
    };
  }

  #checked(tensor: string, dims: readonly number[]): GgufTensor {
    const found = this.#file.tensors.get(tensor);
    const problem =
      found === undefined
        ? "is missing"
        : found.dims.join() === dims.join()
          ? undefined
          : `has the shape [${found.dims.join(", ")}], not [${dims.join(", ")}]`;
    if (problem === undefined) return found!;
    throw new OnnxError("invalid-gguf", tensor, problem, "Convert the model again");
  }
}

function floatsOf({ type }: GgufTensor, bytes: Uint8Array): Float32Array {
  if (type === "F16") return fromHalves(bytes);
  const words = new Uint32Array(bytes.length / GGML_TYPES[type].bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read =
    type === "BF16" ? (i: number) => view.getUint16(2 * i, true) << 16 : (i: number) => view.getUint32(4 * i, true);
  for (let i = 0; i < words.length; i++) words[i] = read(i);
  return new Float32Array(words.buffer);
}

function reorder(bytes: Uint8Array, rows: number, order: Uint32Array | undefined): Uint8Array {
  if (order === undefined) return bytes;
  const width = bytes.length / rows;
  const ordered = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    ordered.set(bytes.subarray(order[row]! * width, (order[row]! + 1) * width), row * width);
  }
  return ordered;
}

/** Codes -8..7 as nibbles 0..15, the first in the low half. */
function packNibbles(codes: Int8Array): Uint8Array {
  const packed = new Uint8Array(codes.length / 2);
  for (let i = 0; i < packed.length; i++) packed[i] = (codes[2 * i]! + 8) | ((codes[2 * i + 1]! + 8) << 4);
  return packed;
}

/** Codes -128..127 as bytes 0..255. */
function packBytes(codes: Int8Array): Uint8Array {
  const packed = new Uint8Array(codes.buffer);
  for (let i = 0; i < packed.length; i++) packed[i]! ^= 0x80;
  return packed;
}

function checkFinite(values: Float32Array, where: string): void {
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i]!)) continue;
    throw new OnnxError("not-finite", `${where}[${i}]`, `is ${values[i]}`, "Get the file again");
  }
}
