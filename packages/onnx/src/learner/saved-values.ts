import { type Body, corrupt, count } from "microlora/parts";
import { OnnxError } from "../base/errors.js";
import type { Loss } from "../loss/loss.js";
import type { LossMakers } from "../loss/makers.js";

/**
 * Values as JSON and numbers. What JSON does not have is an object with one key that begins with "$", where a key of the value's own
 * that does so has one more:
 *
 *   { "$number": "NaN" }                       also -0, Infinity, -Infinity
 *   { "$Float32Array": 3 }                     any typed array: its length; its bytes are the next of the body, filled up with zeros
 *   { "$loss": "tokenNll", "$options": … }     a loss, by what it was made of
 */
export interface Written {
  readonly json: unknown;
  readonly blocks: readonly Float32Array[];
}

/** @throws OnnxError `unsupported-method` for a loss that does not say what it was made of, `unsupported-type` */
export function writeValue(value: unknown, where: string): Written {
  const blocks: Float32Array[] = [];
  return { json: jsonOf(value, where, blocks), blocks };
}

function jsonOf(value: unknown, where: string, blocks: Float32Array[]): unknown {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (Number.isFinite(value) && !Object.is(value, -0)) return value;
    return { $number: Object.is(value, -0) ? "-0" : String(value) };
  }
  if (typeof value !== "object") refuseType(value, where);
  if (Array.isArray(value)) return value.map((each, i) => jsonOf(each, `${where}[${i}]`, blocks));
  if (ArrayBuffer.isView(value)) return arrayOf(value, where, blocks);
  if (isLoss(value)) return lossOf(value, where, blocks);
  const entries = isTensor(value) ? tensorEntries(value) : Object.entries(value);
  const written = entries
    .filter(([, each]) => each !== undefined)
    .map(([key, each]) => [key.startsWith("$") ? `$${key}` : key, jsonOf(each, `${where}.${key}`, blocks)] as const);
  return Object.fromEntries(written);
}

function arrayOf(value: ArrayBufferView, where: string, blocks: Float32Array[]): object {
  const name = Object.prototype.toString.call(value).slice("[object ".length, -1);
  if (arrayType(name) === undefined) refuseType(value, where);
  const padded = new Uint8Array(Math.ceil(value.byteLength / 4) * 4);
  padded.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  blocks.push(new Float32Array(padded.buffer));
  return { [`$${name}`]: (value as Uint8Array).length };
}

function lossOf({ source, key }: Loss, where: string, blocks: Float32Array[]): object {
  if (source !== undefined) return { $loss: source.maker, $options: jsonOf(source.options, where, blocks) };
  const remedy = "Give it a source, and name its maker when the state is loaded";
  throw new OnnxError("unsupported-method", where, `is a loss (${key}) that does not say what it was made of`, remedy);
}

function isLoss(value: object): value is Loss {
  return "build" in value && typeof value.build === "function";
}

/** A tensor of onnxruntime has more to it than these. */
function isTensor(value: object): value is { type: unknown; dims: readonly unknown[]; data: unknown } {
  return "type" in value && "data" in value && "dims" in value && Array.isArray(value.dims);
}

function tensorEntries({ type, dims, data }: { type: unknown; dims: readonly unknown[]; data: unknown }) {
  return Object.entries({ type, dims, data });
}

function refuseType(value: unknown, where: string): never {
  const remedy = "Make it of numbers, texts, lists, objects, tensors and losses";
  throw new OnnxError("unsupported-type", where, `is ${typeof value}, which is not saved`, remedy);
}

/** How deep what is read may go. */
const DEEPEST = 32;

/** What `writeValue` wrote, of a file that is not trusted. @throws MicroLoraError `corrupt-checkpoint`, OnnxError as makers do */
export function readValue(json: unknown, where: string, body: Body, makers: LossMakers, depth = 0): unknown {
  if (depth > DEEPEST) corrupt(where, "is nested too deep");
  if (typeof json !== "object" || json === null) return json;
  const inner = (value: unknown, at: string) => readValue(value, `${where}${at}`, body, makers, depth + 1);
  if (Array.isArray(json)) return json.map((each, i) => inner(each, `[${i}]`));
  const entries = Object.entries(json);
  const [[tag, value] = ["", undefined]] = entries;
  if (!/^\$[^$]/.test(tag)) {
    return Object.fromEntries(entries.map(([key, each]) => [key.replace(/^\$\$/, "$"), inner(each, `.${key}`)]));
  }
  if (tag === "$number") return NUMBERS.get(value) ?? corrupt(where, "is no number");
  if (tag !== "$loss") return readArray(tag, value, where, body);
  const maker = typeof value === "string" && Object.hasOwn(makers, value) ? makers[value] : undefined;
  if (maker === undefined) {
    throw new OnnxError("unsupported-method", where, `is of the loss ${String(value)}`, "Pass its maker in `losses`");
  }
  const options = inner(entries[1]?.[1], ".options");
  try {
    return maker(options as never);
  } catch (error) {
    return corrupt(where, `is no loss: ${(error as Error).message}`);
  }
}

const NUMBERS = new Map<unknown, number>([
  ["-0", -0],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
]);

interface ArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, at: number, length: number): ArrayBufferView;
}

/** The typed array of a name, where this engine has it. */
function arrayType(name: string): ArrayType | undefined {
  const isName = /^(Big)?(Int|Uint|Float)(8|16|32|64)(Clamped)?Array$/.test(name);
  return isName ? (globalThis as unknown as Record<string, ArrayType | undefined>)[name] : undefined;
}

function readArray(tag: string, value: unknown, where: string, body: Body): ArrayBufferView {
  const type = arrayType(tag.slice(1)) ?? corrupt(where, `is ${tag}, which is no kind of array`);
  const length = count(value, where);
  const bytes = length * type.BYTES_PER_ELEMENT;
  const block = body.take(Math.ceil(bytes / 4), where).slice();
  if (new Uint8Array(block.buffer).subarray(bytes).some((byte) => byte !== 0))
    corrupt(where, "has bytes after its end");
  return new type(block.buffer as ArrayBuffer, block.byteOffset, length);
}
