import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { decodeVector, encodeVector } from "./documents.js";
import type { LogEvent } from "./event.js";

/** An event, and where it stood in the log. */
export interface SpooledEvent extends LogEvent {
  readonly line: number;
}

type Line = readonly [
  user: string,
  line: number,
  time: number | null,
  query: string | null | readonly [vector: string],
  shown: readonly number[] | null,
  chosen: readonly number[],
  rating: number | null,
  propensity: number | null,
  topic: string | null,
];

const BUFFER = 1 << 16;

/** A hash of a user's id, the same on every machine (FNV-1a with a final mix), that splits users at random. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Events in files by the hash of their user, so that a log may be larger than memory and one file is not. */
export class Spool {
  readonly #paths: readonly string[];
  readonly #files: readonly number[];
  readonly #buffers: string[];
  /** Events of each user. */
  readonly counts = new Map<string, number>();

  constructor(folder: string, parts: number) {
    mkdirSync(folder, { recursive: true });
    this.#paths = Array.from({ length: parts }, (_, i) => join(folder, `${i}.jsonl`));
    this.#files = this.#paths.map((path) => openSync(path, "w"));
    this.#buffers = this.#paths.map(() => "");
  }

  add(line: number, event: LogEvent): void {
    const { user, time, query, shown, chosen, rating, propensity, topic } = event;
    this.counts.set(user, (this.counts.get(user) ?? 0) + Math.max(1, chosen.length));
    const kept = query instanceof Float32Array ? ([encodeVector(query)] as const) : query;
    const written: Line = [user, line, time, kept, shown, chosen, rating, propensity, topic];
    const part = hashOf(user) % this.#files.length;
    this.#buffers[part] += `${JSON.stringify(written)}\n`;
    if (this.#buffers[part]!.length > BUFFER) this.#flush(part);
  }

  close(): void {
    for (const [part, file] of this.#files.entries()) {
      this.#flush(part);
      closeSync(file);
    }
  }

  /** Every user with their events in the order of time; events of one time in the order of the log. */
  *users(): Generator<readonly [user: string, events: readonly SpooledEvent[]]> {
    for (const path of this.#paths) {
      const byUser = new Map<string, SpooledEvent[]>();
      for (const line of readFileSync(path, "utf8").split("\n")) {
        if (line === "") continue;
        const event = eventOf(JSON.parse(line));
        const events = byUser.get(event.user);
        if (events === undefined) byUser.set(event.user, [event]);
        else events.push(event);
      }
      for (const [user, events] of byUser) {
        yield [user, events.sort((a, b) => (a.time ?? a.line) - (b.time ?? b.line) || a.line - b.line)];
      }
    }
  }

  #flush(part: number): void {
    writeSync(this.#files[part]!, this.#buffers[part]!);
    this.#buffers[part] = "";
  }
}

function eventOf([user, line, time, query, shown, chosen, rating, propensity, topic]: Line): SpooledEvent {
  const read = typeof query === "object" && query !== null ? decodeVector(query[0]) : query;
  return { user, line, time, query: read, shown, chosen, rating, propensity, topic };
}
