import type { Cursor } from "../base/cursor.js";
import { FormatError, shown } from "../base/errors.js";

/** A value of a pickle: data only, nothing that runs. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Value[]
  | Map<Value, Value>
  | Global
  | Constructed;

/** A name of a class or a function of Python's, which is only ever looked up in a table. */
export class Global {
  constructor(readonly name: string) {}
}

/** What the caller made of a call or of a persistent id; the pickle only hands it on. */
export class Constructed {
  constructor(readonly value: unknown) {}
}

/** The calls that a pickle may make. Any other is refused by its name. */
export interface Meanings {
  /** Calls that stand for data, by the name of what is called. */
  readonly calls: ReadonlyMap<string, (args: readonly Value[]) => Value>;
  /** Classes that are handed over by name and never called. */
  isKnown(name: string): boolean;
  /** What a persistent id stands for. */
  persistent(id: Value): Value;
}

/** Stands where a MARK was put on the stack. */
const MARK = Symbol("MARK");
type Stack = (Value | typeof MARK)[];

const REMEDY = "Save a dictionary of tensors alone, or save it as safetensors";

/** One instruction of the pickle machine; `undefined` goes on. */
type Opcode = (machine: Machine) => undefined | { readonly result: Value };

/**
 * Reads one pickle without running anything: an instruction that would call something calls one of `meanings`, or is refused.
 * Instructions of protocols 2 to 5 that data needs; pickletools.py in Python's library says what each does.
 * @returns the value, the cursor behind its last instruction
 * @throws FormatError `bad-header`, `truncated`, `unsupported-variant`
 */
export function readPickle(cursor: Cursor, meanings: Meanings): Value {
  const machine = new Machine(cursor, meanings);
  for (;;) {
    const at = cursor.at;
    const code = cursor.u8("an instruction");
    const opcode = OPCODES.get(code);
    if (opcode === undefined)
      refuse(`byte ${at}`, `is the instruction 0x${code.toString(16)}, which data does not need`);
    const done = opcode(machine);
    if (done !== undefined) return done.result;
  }
}

class Machine {
  readonly stack: Stack = [];
  readonly memo = new Map<number, Value>();

  constructor(
    readonly cursor: Cursor,
    readonly meanings: Meanings,
  ) {}

  push(value: Value | typeof MARK): undefined {
    this.stack.push(value);
  }

  pop(): Value {
    const value = this.stack.pop();
    if (value === undefined || value === MARK) return refuse(`byte ${this.cursor.at}`, "takes from an empty stack");
    return value;
  }

  /** What lies above the last mark, which goes as well. */
  popToMark(): Value[] {
    const at = this.stack.lastIndexOf(MARK);
    if (at < 0) return refuse(`byte ${this.cursor.at}`, "has no mark on its stack");
    const values = this.stack.splice(at) as Value[];
    values.shift();
    return values;
  }

  top(): Value {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  remember(index: number): undefined {
    this.memo.set(index, this.top());
  }

  recall(index: number): undefined {
    const value = this.memo.get(index);
    if (value === undefined) refuse(`byte ${this.cursor.at}`, `asks for the memo ${index}, which is empty`);
    this.push(value);
  }

  setItems(items: readonly Value[]): undefined {
    const target = this.top();
    if (!(target instanceof Map) || items.length % 2 !== 0)
      refuse(`byte ${this.cursor.at}`, "sets items of no dictionary");
    for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!);
  }

  append(items: readonly Value[]): undefined {
    const target = this.top();
    if (!Array.isArray(target)) refuse(`byte ${this.cursor.at}`, "appends to no list");
    for (const item of items) target.push(item);
  }

  global(name: string): undefined {
    const { calls, isKnown } = this.meanings;
    if (!calls.has(name) && !isKnown(name)) {
      throw new FormatError(
        "unsupported-variant",
        shown(name),
        "is Python code that the file asks to be run, and is no part of a tensor",
        REMEDY,
      );
    }
    this.push(new Global(name));
  }

  reduce(): undefined {
    const [args, called] = [this.pop(), this.pop()];
    const call = called instanceof Global ? this.meanings.calls.get(called.name) : undefined;
    if (call === undefined || !Array.isArray(args)) {
      const name = called instanceof Global ? called.name : "what is no function";
      throw new FormatError("unsupported-variant", shown(name), "would be called, which nothing here is", REMEDY);
    }
    this.push(call(args));
  }

  text(length: number): undefined {
    this.push(this.cursor.text(length, "a text"));
  }

  line(): string {
    const bytes: number[] = [];
    for (let byte = this.cursor.u8("a name"); byte !== 0x0a; byte = this.cursor.u8("a name")) bytes.push(byte);
    return String.fromCharCode(...bytes.slice(0, 1000));
  }
}

/** By their codes; see `readPickle`. */
const OPCODES: ReadonlyMap<number, Opcode> = new Map<number, Opcode>([
  [0x80, ({ cursor }) => void cursor.u8("the protocol")],
  [0x95, ({ cursor }) => void cursor.u64("the length of a frame")],
  [0x2e, (m) => ({ result: m.pop() })], // STOP
  [0x28, (m) => m.push(MARK)],
  [0x4e, (m) => m.push(null)],
  [0x88, (m) => m.push(true)],
  [0x89, (m) => m.push(false)],
  [0x4b, (m) => m.push(m.cursor.u8("a number"))],
  [0x4d, (m) => m.push(m.cursor.u16("a number"))],
  [0x4a, (m) => m.push(m.cursor.u32("a number") | 0)],
  [0x47, (m) => m.push(bigEndianDouble(m.cursor))],
  [0x8a, (m) => m.push(integer(m.cursor.bytes(m.cursor.u8("a length"), "a number")))],
  [0x8c, (m) => m.text(m.cursor.u8("a length"))],
  [0x58, (m) => m.text(m.cursor.u32("a length"))],
  [0x5d, (m) => m.push([])],
  [0x29, (m) => m.push([])],
  [0x7d, (m) => m.push(new Map())],
  [0x85, (m) => m.push(taken(m, 1))],
  [0x86, (m) => m.push(taken(m, 2))],
  [0x87, (m) => m.push(taken(m, 3))],
  [0x74, (m) => m.push(m.popToMark())],
  [0x73, (m) => m.setItems(taken(m, 2))],
  [0x75, (m) => m.setItems(m.popToMark())],
  [0x61, (m) => m.append(taken(m, 1))],
  [0x65, (m) => m.append(m.popToMark())],
  [0x71, (m) => m.remember(m.cursor.u8("an index"))],
  [0x72, (m) => m.remember(m.cursor.u32("an index"))],
  [0x94, (m) => m.remember(m.memo.size)],
  [0x68, (m) => m.recall(m.cursor.u8("an index"))],
  [0x6a, (m) => m.recall(m.cursor.u32("an index"))],
  [0x63, (m) => m.global(`${m.line()}.${m.line()}`)],
  [0x93, (m) => m.global(dotted(taken(m, 2)))],
  [0x51, (m) => m.push(m.meanings.persistent(m.pop()))],
  [0x52, (m) => m.reduce()],
  // BUILD sets attributes, such as the versions of modules that a state dictionary has: nothing here has any.
  [0x62, (m) => void m.pop()],
  [0x30, (m) => void m.stack.pop()], // POP
]);

function taken(machine: Machine, count: number): Value[] {
  const values = Array.from({ length: count }, () => machine.pop());
  return values.reverse();
}

function dotted([module, name]: readonly Value[]): string {
  if (typeof module === "string" && typeof name === "string") return `${module}.${name}`;
  return refuse("STACK_GLOBAL", "names no class");
}

function bigEndianDouble(cursor: Cursor): number {
  const bytes = cursor.bytes(8, "a number");
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, false);
}

/** A two's complement integer of any length, little-endian; those that a number holds exactly are numbers. */
function integer(bytes: Uint8Array): number | bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  if ((bytes.at(-1) ?? 0) >= 0x80) value -= 1n << BigInt(8 * bytes.length);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function refuse(where: string, problem: string): never {
  throw new FormatError("bad-header", where, problem, REMEDY);
}
