import { adamw, MicroLora } from "microlora";
import { ChatError } from "./base/errors.js";
import type { Channels, FactMemory } from "./memory/fact-memory.js";
import { decodeFacts, encodeFacts } from "./memory/fact-memory-codec.js";

/** Everything that is kept of a user. */
export interface UserState {
  readonly memory: FactMemory;
  readonly adapter: MicroLora | null;
  /** Ids of the facts that the adapter learned. */
  readonly learned: ReadonlySet<number>;
}

/** Bytes of the three lengths at the start. */
const START = 12;

/**
 * A user's state as bytes, little-endian: lengths of the three parts (u32 each), the facts (`encodeFacts`), ids of the facts that the adapter
 * learned (f64 each), and the adapter's checkpoint, empty for none.
 */
export function encodeUser({ memory, adapter, learned }: UserState): Uint8Array {
  const facts = encodeFacts(memory);
  const ids = new Uint8Array(8 * learned.size);
  const view = new DataView(ids.buffer);
  for (const [i, id] of [...learned].entries()) view.setFloat64(8 * i, id, true);
  const parts = [facts, ids, adapter?.toBytes() ?? new Uint8Array(0)];
  const bytes = new Uint8Array(START + parts.reduce((sum, part) => sum + part.length, 0));
  const lengths = new DataView(bytes.buffer);
  let at = START;
  for (const [i, part] of parts.entries()) {
    lengths.setUint32(4 * i, part.length, true);
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * Reads what `encodeUser` wrote, and checks all of it first.
 * @param fingerprint of the model that the adapter has to fit
 * @throws ChatError `corrupt-state`, `wrong-model`
 */
export async function decodeUser(bytes: Uint8Array, channels: Channels, fingerprint: string): Promise<UserState> {
  const [facts, ids, checkpoint] = partsOf(bytes);
  const memory = decodeFacts(facts, channels);
  const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength);
  const learned = new Set(Array.from({ length: ids.length / 8 }, (_, i) => view.getFloat64(8 * i, true)));
  if (![...learned].every((id) => memory.has(id))) throw corrupt("names facts that it does not have");
  if (checkpoint.length === 0) return { memory, adapter: null, learned };
  const adapter = await MicroLora.fromBytes(checkpoint, { methods: [adamw()] }).catch((cause: unknown) => {
    throw corrupt("has a broken adapter", cause);
  });
  if (adapter.config.baseModel === fingerprint) return { memory, adapter, learned };
  const remedy = "Open the user with the model that the adapter was trained on";
  throw new ChatError("wrong-model", "state", "its adapter belongs to another model", remedy);
}

function partsOf(bytes: Uint8Array): readonly [Uint8Array, Uint8Array, Uint8Array] {
  if (!(bytes instanceof Uint8Array) || bytes.length < START) throw corrupt("is shorter than its lengths");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [facts, ids, adapter] = [0, 4, 8].map((at) => view.getUint32(at, true)) as [number, number, number];
  if (START + facts + ids + adapter !== bytes.length || ids % 8 !== 0) {
    throw corrupt(`has ${bytes.length} bytes, ${START + facts + ids + adapter} expected`);
  }
  const first = START + facts;
  return [bytes.subarray(START, first), bytes.subarray(first, first + ids), bytes.subarray(first + ids)];
}

function corrupt(problem: string, cause?: unknown): ChatError {
  return new ChatError("corrupt-state", "state", problem, "Restore the file from a copy", { cause });
}
