/** Users' states in PostgreSQL, in Node. */
import { randomBytes } from "node:crypto";
import type { PoolClient, PoolConfig } from "pg";
import { StoreError } from "../base/errors.js";
import { Connections } from "./connections.js";
import { Hashes } from "./hashes.js";
import { PostgresStore } from "./postgres-store.js";
import { checkSettings, migrate } from "./schema.js";
import { statementsOf, TABLES } from "./statements.js";

export type { PostgresStore } from "./postgres-store.js";

/** Options of the PostgreSQL store. */
export interface PostgresOptions {
  /** The schema that holds the tables; it is made if it is not there. `microlora` by default. */
  readonly schema?: string;
  /** Connections at most; 8 by default. */
  readonly connections?: number;
  /** Milliseconds that a statement may take; 10,000 by default. Whoever waits longer is refused with `io-error`. */
  readonly timeoutMs?: number;
}

const CONNECT_MS = 5000;
const SALT_BYTES = 16;
/** Short enough for PostgreSQL, and the same with and without quotes. */
const SCHEMA = /^[a-z_][a-z0-9_]{0,47}$/;

/**
 * Opens a schema of a PostgreSQL database as a store, or makes one. Any number of processes may have it open. It needs `pg`, which you install,
 * and PostgreSQL 12 or later with `fsync`, `full_page_writes` and `synchronous_commit` on.
 * @param url such as `postgres://user:password@host:5432/database`; what it leaves out comes from PGHOST, PGPASSWORD and so on
 * @throws StoreError `driver-missing`, `invalid-argument`, `not-a-store`, `unsupported-version`, `io-error`
 */
export async function openPostgresStore(url: string, options: PostgresOptions = {}): Promise<PostgresStore> {
  const { schema: name = "microlora", connections: max = 8, timeoutMs = 10_000 } = options;
  const schema = quoted(name);
  checkNumber("connections", max, 1, 1000);
  checkNumber("timeoutMs", timeoutMs, 100, 3_600_000);
  const { Pool } = await loadDriver();
  const where = placeOf(url);
  const config: PoolConfig = {
    connectionString: url,
    max,
    application_name: "microlora",
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: timeoutMs,
    idle_in_transaction_session_timeout: timeoutMs,
    // A server that is stopped or cut off answers nothing at all.
    query_timeout: timeoutMs + 1000,
  };
  const pool = new Connections(new Pool(config), where);
  try {
    const salt = await pool.use(async (client) => {
      await checkSettings(client, where);
      return migrate(client, schema, where, randomBytes(SALT_BYTES));
    });
    const backup = (client: PoolClient, to: string) => copy(client, { schema, salt, where }, to);
    return new PostgresStore({
      connections: pool,
      statements: statementsOf(schema),
      hashes: new Hashes(salt),
      backup,
    });
  } catch (error) {
    await pool.close();
    throw error;
  }
}

interface Source {
  readonly schema: string;
  readonly salt: Uint8Array;
  readonly where: string;
}

/** Copies all tables, as of one moment, into a schema that is not there yet. */
async function copy(client: PoolClient, { schema, salt, where }: Source, to: string): Promise<void> {
  const target = quoted(to);
  const { rows } = await client.query("SELECT to_regnamespace($1) AS found", [target]);
  if ((rows[0] as { readonly found: unknown }).found !== null) {
    throw new StoreError("invalid-argument", to, "is there already", "Name a new schema");
  }
  await migrate(client, target, where, salt);
  try {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
    await client.query("SET LOCAL statement_timeout = 0");
    for (const table of TABLES) {
      await client.query({
        text: `INSERT INTO ${target}.${table} SELECT * FROM ${schema}.${table}`,
        query_timeout: 0,
      } as never);
    }
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    await client.query(`DROP SCHEMA ${target} CASCADE`);
    throw error;
  }
}

async function loadDriver(): Promise<Pick<typeof import("pg"), "Pool">> {
  try {
    return (await import("pg")).default;
  } catch (error) {
    throw new StoreError("driver-missing", "PostgreSQL", "needs a driver", "Run `npm install pg@8`", { cause: error });
  }
}

/** The name of a schema as it stands in SQL. @throws StoreError `invalid-argument` */
function quoted(name: string): string {
  if (typeof name === "string" && SCHEMA.test(name)) return `"${name}"`;
  const remedy = "Pass at most 48 small letters, digits and _, a letter first";
  throw new StoreError("invalid-argument", "schema", `is ${JSON.stringify(name)}`, remedy);
}

function checkNumber(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new StoreError("invalid-argument", name, `is ${value}`, `Pass a whole number from ${least} to ${most}`);
}

/** The server and the database, without the password. @throws StoreError `invalid-argument` */
function placeOf(url: string): string {
  if (typeof url === "string" && /^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) {
    const { host, pathname } = new URL(url);
    return `postgres://${host}${pathname}`;
  }
  const remedy = "Pass postgres://user:password@host:5432/database";
  throw new StoreError("invalid-argument", "url", "is not the address of a database", remedy);
}
