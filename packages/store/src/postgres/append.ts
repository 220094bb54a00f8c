import { randomBytes } from "node:crypto";
import { sameBytes } from "../base/bytes.js";
import { StoreError } from "../base/errors.js";
import { BatchOrder } from "../contract/batch-order.js";
import { keyOf, type UserId, type UserKey } from "../contract/keys.js";
import type { AppendOutcome, Duplicate, NewEvent } from "../contract/store.js";
import { Collision, type Connections } from "./connections.js";
import { eventCrc, type Hashes, printOf } from "./hashes.js";
import type { Statements } from "./statements.js";

export type Taken = Duplicate | { readonly status: "erased" };

interface IdRow {
  readonly hash: Buffer;
  readonly person: Buffer;
  readonly seq: string;
  readonly print: Buffer;
  readonly answer: Buffer;
  readonly name: string | null;
  readonly start: string;
  readonly secret: Buffer | null;
}

const SECRET_BYTES = 16;
const MAX_TRIES = 16;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An event on its way, with its place and its hashes. */
interface Item {
  readonly at: number;
  /** The number of its batch. */
  readonly batch: number;
  readonly event: NewEvent;
  readonly person: Buffer;
  readonly id: Buffer;
}

/**
 * Appends batches. It first trusts the senders: one statement writes everything, and moves each user on only from the seq that was expected.
 * What turns out to be behind, or taken, is looked up, decided in memory, and written in the same way.
 */
export class Append {
  readonly #connections: Connections;
  readonly #statements: Statements;
  readonly #hashes: Hashes;

  constructor(connections: Connections, statements: Statements, hashes: Hashes) {
    this.#connections = connections;
    this.#statements = statements;
    this.#hashes = hashes;
  }

  /**
   * Appends batches in one commit.
   * @returns an outcome for each event of all batches, in order
   * @throws StoreError `io-error`, `disk-full`, `contended`
   */
  async run(batches: readonly (readonly NewEvent[])[]): Promise<AppendOutcome[]> {
    const outcomes: AppendOutcome[] = [];
    const events = batches.flatMap((batch, i) => batch.map((event) => ({ event, batch: i })));
    let open = events.map(({ event, batch }, at): Item => {
      const { tenant } = event.key;
      return { at, batch, event, person: this.#hashes.person(event.key), id: this.#hashes.id(tenant, event.id) };
    });
    for (let tries = 0; open.length > 0; tries++) {
      if (tries === MAX_TRIES) {
        throw new StoreError("contended", "append", `others were faster ${MAX_TRIES} times in a row`, "Try again");
      }
      const trusted = tries === 0 && isOneAfterTheOther(open);
      const decided = trusted ? trust(open) : await this.#decide(open);
      const written = await this.#write(open.filter((_, i) => decided[i]!.status === "ok"));
      if (written === null) continue;
      const isDone = (i: number) => decided[i]!.status !== "ok" || written.has(open[i]!.person.toString("hex"));
      for (const [i, { at }] of open.entries()) if (isDone(i)) outcomes[at] = decided[i]!;
      open = open.filter((_, i) => !isDone(i));
    }
    return outcomes;
  }

  /** What has an id already. */
  async find(key: UserKey, id: string, source: Uint8Array): Promise<Taken | null> {
    const hash = this.#hashes.id(key.tenant, id);
    const found = (await this.#ids([hash])).get(hash.toString("hex"));
    return found === undefined ? null : takenOf(found, this.#hashes.person(key), source);
  }

  /** Decides about events on what is stored now, each after the ones before it. */
  async #decide(items: readonly Item[]): Promise<AppendOutcome[]> {
    const ids = await this.#ids(items.map(({ id }) => id));
    const seqs = await this.#seqs(items.map(({ person }) => person));
    const orders = new Map(items.map(({ batch }) => [batch, new BatchOrder()]));
    const own = new Map<string, { readonly event: NewEvent; readonly seq: number }>();
    return items.map(({ batch, event, person, id }) => {
      const order = orders.get(batch)!;
      const outcome = ((): AppendOutcome => {
        const earlier = own.get(id.toString("hex"));
        if (earlier !== undefined) return duplicateOf(earlier, event);
        const found = ids.get(id.toString("hex"));
        if (found !== undefined) return takenOf(found, person, event.source);
        const seq = seqs.get(person.toString("hex")) ?? 0;
        if (seq !== event.expectedSeq || !order.mayAppend(event)) return { status: "conflict", seq };
        seqs.set(person.toString("hex"), seq + 1);
        own.set(id.toString("hex"), { event, seq: seq + 1 });
        return { status: "ok", seq: seq + 1 };
      })();
      order.note(event, outcome);
      return outcome;
    });
  }

  async #ids(hashes: readonly Buffer[]): Promise<ReadonlyMap<string, IdRow>> {
    const rows = (await this.#connections.query(this.#statements.ids, [hashes])) as unknown as readonly IdRow[];
    return new Map(rows.map((row) => [row.hash.toString("hex"), row]));
  }

  async #seqs(hashes: readonly Buffer[]): Promise<Map<string, number>> {
    const rows = await this.#connections.query(this.#statements.people, [hashes]);
    return new Map(rows.map(({ hash, seq }) => [(hash as Buffer).toString("hex"), Number(seq)]));
  }

  /** Writes events. @returns the users whose events were written; null if an id was taken, or a lock was in the way, and none was */
  async #write(items: readonly Item[]): Promise<ReadonlySet<string> | null> {
    if (items.length === 0) return new Set();
    try {
      const values = [...columnsOfPeople(items), ...columnsOfEvents(items)];
      const rows = await this.#connections.query(this.#statements.append, values);
      return new Set(rows.map(({ hash }) => (hash as Buffer).toString("hex")));
    } catch (error) {
      if (error instanceof Collision) return null;
      throw error;
    }
  }
}

/** Whether the events of each user follow each other, and no id comes twice: what a caller who knows the log sends. */
function isOneAfterTheOther(items: readonly Item[]): boolean {
  const next = new Map<string, number>();
  const ids = new Set<string>();
  for (const { event, person, id } of items) {
    const expected = next.get(person.toString("hex"));
    if (expected !== undefined && expected !== event.expectedSeq) return false;
    next.set(person.toString("hex"), event.expectedSeq + 1);
    ids.add(id.toString("hex"));
  }
  return ids.size === items.length;
}

function trust(items: readonly Item[]): AppendOutcome[] {
  return items.map(({ event }) => ({ status: "ok", seq: event.expectedSeq + 1 }));
}

/** One row for each user of the events, in the order of hashes, so that processes lock users in one order. */
function columnsOfPeople(items: readonly Item[]): unknown[][] {
  const people = new Map<string, { readonly first: Item; last: NewEvent }>();
  for (const item of items) {
    const name = item.person.toString("hex");
    const known = people.get(name);
    if (known === undefined) people.set(name, { first: item, last: item.event });
    else known.last = item.event;
  }
  const rows = [...people].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  return [
    rows.map(({ first }) => first.person),
    rows.map(({ last }) => last.key.tenant),
    rows.map(({ last }) => last.key.user),
    rows.map(({ first }) => first.event.expectedSeq),
    rows.map(({ last }) => last.expectedSeq + 1),
    rows.map(({ last }) => last.time),
    rows.map(() => randomBytes(SECRET_BYTES)),
  ];
}

function columnsOfEvents(items: readonly Item[]): unknown[][] {
  const events = items.map(({ event }) => event);
  return [
    items.map(({ id }) => id),
    items.map(({ person }) => person),
    events.map(({ expectedSeq }) => expectedSeq + 1),
    events.map(({ id }) => id),
    events.map(({ time }) => time),
    events.map(({ kind }) => kind),
    events.map(({ kernels }) => kernels),
    events.map(({ version }) => version),
    events.map(({ payload }) => payload),
    events.map(({ source }) => source),
    events.map(({ answer }) => Buffer.from(encoder.encode(answer))),
    items.map(({ event: { key: _, expectedSeq, ...content }, person }) =>
      eventCrc(person, { ...content, answer: decoder.decode(encoder.encode(content.answer)), seq: expectedSeq + 1 }),
    ),
  ];
}

function takenOf({ person, seq, print, answer, name, start, secret }: IdRow, own: Buffer, source: Uint8Array): Taken {
  if (name === null || secret === null || Number(seq) <= Number(start)) return { status: "erased" };
  const same = sameBytes(person, own) && sameBytes(print, printOf(secret, source));
  return { status: "duplicate", user: name as UserId, seq: Number(seq), same, answer: decoder.decode(answer) };
}

function duplicateOf(
  { event, seq }: { readonly event: NewEvent; readonly seq: number },
  { key, source }: NewEvent,
): Duplicate {
  const same = keyOf(event.key) === keyOf(key) && sameBytes(event.source, source);
  return { status: "duplicate", user: event.key.user, seq, same, answer: event.answer };
}
