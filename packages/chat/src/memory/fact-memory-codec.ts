import { ChatError } from "../base/errors.js";
import { type Channels, FactMemory } from "./fact-memory.js";

/**
 * Facts as bytes, little-endian: length of the header (u32), the header (JSON), then for every fact its tokens (u32), its scores (f32) and
 * its keys (i8) in the order of the channels. Lengths follow from the header.
 */
export function encodeFacts(memory: FactMemory): Uint8Array {
  const { channels, facts, next } = memory;
  const header = new TextEncoder().encode(
    JSON.stringify({
      version: VERSION,
      channels,
      next,
      facts: facts.map(({ id, question, answer, isStatement, tokens }) => ({
        ...{ id, question, answer, isStatement },
        tokens: tokens.length,
      })),
    }),
  );
  const width = widthOf(channels);
  const body = facts.reduce((sum, { tokens }) => sum + 8 * tokens.length + width, 0);
  const bytes = new Uint8Array(4 + header.length + body);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, header.length, true);
  bytes.set(header, 4);
  let at = 4 + header.length;
  for (const [index, { tokens, scores }] of facts.entries()) {
    for (const token of tokens) {
      view.setUint32(at, token, true);
      at += 4;
    }
    for (const score of scores) {
      view.setFloat32(at, score, true);
      at += 4;
    }
    for (const name of Object.keys(channels)) {
      const codes = memory.codesOf(name, index);
      bytes.set(new Uint8Array(codes.buffer, codes.byteOffset, codes.length), at);
      at += codes.length;
    }
  }
  return bytes;
}

/** Reads what `encodeFacts` wrote, and checks all of it first. @throws ChatError `corrupt-state`, `wrong-model` for other channels */
export function decodeFacts(bytes: Uint8Array, channels: Channels): FactMemory {
  const { header, start } = headerOf(bytes);
  if (JSON.stringify(header.channels) !== JSON.stringify(channels)) {
    const problem = `was made with keys of ${JSON.stringify(header.channels)}, and here they are ${JSON.stringify(channels)}`;
    throw new ChatError("wrong-model", "memory", problem, "Open it with the model and embedder that it was made with");
  }
  const width = widthOf(channels);
  const end = header.facts.reduce((sum, { tokens }) => sum + 8 * tokens + width, start);
  if (end !== bytes.length) throw corrupt(`has ${bytes.length} bytes, ${end} expected`);
  const memory = new FactMemory(channels, header.next);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = start;
  for (const { tokens: count, ...fact } of header.facts) {
    const tokens = Uint32Array.from({ length: count }, (_, i) => view.getUint32(at + 4 * i, true));
    at += 4 * count;
    const scores = Float32Array.from({ length: count }, (_, i) => view.getFloat32(at + 4 * i, true));
    at += 4 * count;
    if (!scores.every(Number.isFinite)) throw corrupt("has scores that are not finite");
    const keys: Record<string, Float32Array> = {};
    for (const [name, size] of Object.entries(channels)) {
      keys[name] = Float32Array.from(new Int8Array(bytes.buffer, bytes.byteOffset + at, size));
      at += size;
    }
    memory.add({ ...fact, tokens, scores }, keys, fact.id);
  }
  return memory;
}

const VERSION = 1;

interface Header {
  readonly channels: Channels;
  readonly next: number;
  readonly facts: readonly {
    readonly id: number;
    readonly question: string;
    readonly answer: string;
    readonly isStatement: boolean;
    readonly tokens: number;
  }[];
}

function headerOf(bytes: Uint8Array): { readonly header: Header; readonly start: number } {
  if (bytes.length < 4) throw corrupt(`has ${bytes.length} bytes`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (4 + length > bytes.length) throw corrupt("ends within its header");
  const header = parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  if (!isHeader(header)) throw corrupt("has another header");
  return { header, start: 4 + length };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw corrupt("has a header that is no JSON", cause);
  }
}

function isHeader(value: unknown): value is Header {
  const { version, channels, next, facts } = (value ?? {}) as Record<string, unknown>;
  if (version !== VERSION || typeof channels !== "object" || !isId(next) || !Array.isArray(facts)) return false;
  const ids = new Set(facts.map((fact) => fact?.id));
  return ids.size === facts.length && facts.every((fact) => isFact(fact) && fact.id < next);
}

function isFact(value: unknown): value is Header["facts"][number] {
  const { id, question, answer, isStatement, tokens } = (value ?? {}) as Record<string, unknown>;
  const isText = typeof question === "string" && typeof answer === "string";
  return isId(id) && isText && typeof isStatement === "boolean" && isCount(tokens);
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 1 << 16;
}

function widthOf(channels: Channels): number {
  return Object.values(channels).reduce((sum, width) => sum + width, 0);
}

function corrupt(problem: string, cause?: unknown): ChatError {
  return new ChatError("corrupt-state", "memory", problem, "Restore the file from a copy", { cause });
}
