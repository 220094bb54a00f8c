import type { Pool, PoolClient } from "pg";
import { StoreError } from "../base/errors.js";

/** A statement of SQL: values are always parameters. */
export interface Statement {
  /** Statements of one name are prepared once for each connection. */
  readonly name: string;
  readonly text: string;
}

export type Row = Readonly<Record<string, unknown>>;

/** SQLSTATE classes after which a connection cannot be used any more: connection exceptions, and what an operator or a crash did. */
const BROKEN = /^(?:08|57|58|XX)/;
/** A standby that was promoted over, or a primary that became one: another connection may lead elsewhere. */
const READ_ONLY = "25006";
const UNIQUE_VIOLATION = "23505";
const DISK_FULL = new Set(["53100", "53200"]);
/** Serialization failure and deadlock: the statement did nothing, and may run again. */
const RETRY = new Set(["40001", "40P01"]);

/** Statements on whatever connection is free. */
export class Connections {
  readonly #pool: Pool;
  readonly #where: string;

  constructor(pool: Pool, where: string) {
    this.#pool = pool;
    this.#where = where;
    // A connection that breaks fails the statement on it, and is replaced by the next one; without listeners it would end the process.
    pool.on("error", () => {});
    pool.on("connect", (client) => client.on("error", () => {}));
  }

  /** Runs a statement by itself. @throws StoreError `io-error`, `disk-full`; `Collision` */
  query(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.use((client) => run(client, statement, values));
  }

  /** Lends a connection, which goes back whole or not at all. @throws StoreError `io-error`, `disk-full`; `Collision` */
  async use<Value>(work: (client: PoolClient) => Promise<Value>): Promise<Value> {
    let client: PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw this.#errorOf(error);
    }
    try {
      const value = await work(client);
      client.release();
      return value;
    } catch (error) {
      client.release(isBroken(error));
      throw this.#errorOf(error);
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  #errorOf(error: unknown): unknown {
    if (error instanceof StoreError) return error;
    const code = codeOf(error);
    if (code === UNIQUE_VIOLATION || RETRY.has(code)) return new Collision(code === UNIQUE_VIOLATION, { cause: error });
    const said = error instanceof Error ? error.message : String(error);
    const cause = { cause: error };
    if (DISK_FULL.has(code)) {
      return new StoreError("disk-full", this.#where, `PostgreSQL says "${said}"`, "Make room, and try again", cause);
    }
    const remedy = "See to the database and the network, and try again";
    return new StoreError("io-error", this.#where, `PostgreSQL says "${said}"`, remedy, cause);
  }
}

/** Another process was faster: nothing was written, and whoever looks again sees what it did. */
export class Collision extends Error {
  /** Whether a key was taken, rather than a lock. */
  readonly isTaken: boolean;

  constructor(isTaken: boolean, options: ErrorOptions) {
    super("another process was faster", options);
    this.isTaken = isTaken;
  }
}

/** Runs a statement on one connection. */
export async function run(
  client: PoolClient,
  { name, text }: Statement,
  values: readonly unknown[],
): Promise<readonly Row[]> {
  return (await client.query({ name, text, values: [...values] })).rows as Row[];
}

/** An error without a code comes from the connection, or from a time that ran out with a statement under way. */
function isBroken(error: unknown): boolean {
  if (error instanceof StoreError) return false;
  const code = codeOf(error);
  return !/^[0-9A-Z]{5}$/.test(code) || BROKEN.test(code) || code === READ_ONLY;
}

function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === "string" ? code : "";
}
