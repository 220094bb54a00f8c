import type { PoolClient } from "pg";
import { StoreError } from "../base/errors.js";

/** Partitions of each table: small enough for one disk, and a way to spread over several later. */
const PARTITIONS = 16;

/**
 * Steps from one version of the schema to the next. Each is one transaction, and leaves what programs of `readableFrom` and later need, so
 * that two versions run side by side while a service is rolled over.
 *
 * - `person`: one row for each user who is there or was, by a hash. Once the user is erased, names and secret are null, and `start` and `seq`
 *   say where the log stays closed.
 * - `event`: the log, by user and seq. A seq is never used twice, not even by a later life of the name.
 * - `event_id`: hashes of event ids, which outlive the events.
 * - `snapshot`: the two newest states of a user; `STORAGE EXTERNAL`, since they do not compress.
 */
const MIGRATIONS: readonly { readonly readableFrom: number; readonly sql: (schema: string) => string }[] = [
  {
    readableFrom: 1,
    sql: (schema) => `
      CREATE TABLE ${schema}.person (
        hash bytea PRIMARY KEY, tenant text COLLATE "C", name text COLLATE "C", start bigint NOT NULL, seq bigint NOT NULL,
        snapshot_seq bigint NOT NULL, updated bigint NOT NULL, secret bytea
      ) PARTITION BY HASH (hash);
      CREATE INDEX person_name ON ${schema}.person (tenant, name) WHERE name IS NOT NULL;
      CREATE TABLE ${schema}.event (
        person bytea NOT NULL, seq bigint NOT NULL, id text NOT NULL, time bigint NOT NULL, kind text NOT NULL, kernels text NOT NULL,
        version text NOT NULL, payload bytea NOT NULL, source bytea NOT NULL, answer bytea NOT NULL, crc bigint NOT NULL,
        PRIMARY KEY (person, seq)
      ) PARTITION BY HASH (person);
      CREATE TABLE ${schema}.event_id (
        hash bytea PRIMARY KEY, person bytea NOT NULL, seq bigint NOT NULL, time bigint NOT NULL, print bytea NOT NULL, answer bytea NOT NULL
      ) PARTITION BY HASH (hash);
      CREATE INDEX event_id_time ON ${schema}.event_id (time);
      CREATE TABLE ${schema}.snapshot (
        person bytea NOT NULL, seq bigint NOT NULL, bytes bytea NOT NULL, crc bigint NOT NULL, PRIMARY KEY (person, seq)
      ) PARTITION BY HASH (person);
      ${["person", "event", "event_id", "snapshot"].map((table) => partitions(schema, table)).join("\n")}`,
  },
];

function partitions(schema: string, table: string): string {
  return Array.from({ length: PARTITIONS }, (_, i) => {
    const name = `${schema}.${table}_${i}`;
    const made = `CREATE TABLE ${name} PARTITION OF ${schema}.${table} FOR VALUES WITH (MODULUS ${PARTITIONS}, REMAINDER ${i});`;
    return table === "snapshot" ? `${made} ALTER TABLE ${name} ALTER COLUMN bytes SET STORAGE EXTERNAL;` : made;
  }).join("\n");
}

/** What a server must hold, so that what was acknowledged survives a power cut. */
const SETTINGS: readonly { readonly name: string; readonly holds: readonly string[] }[] = [
  { name: "fsync", holds: ["on"] },
  { name: "full_page_writes", holds: ["on"] },
  { name: "synchronous_commit", holds: ["on", "remote_apply"] },
  { name: "transaction_read_only", holds: ["off"] },
];

/** @throws StoreError `io-error` for a server that may lose what it acknowledged, or takes no writes */
export async function checkSettings(client: PoolClient, where: string): Promise<void> {
  for (const { name, holds } of SETTINGS) {
    const { rows } = await client.query("SELECT current_setting($1) AS value", [name]);
    const { value } = rows[0] as { readonly value: string };
    if (holds.includes(value)) continue;
    const remedy = `Set it to ${holds[0]} in postgresql.conf, or name another server`;
    throw new StoreError("io-error", where, `${name} is ${value}, and acknowledged feedback could be lost`, remedy);
  }
}

/**
 * Brings a schema to the newest version; one process at a time, by an advisory lock.
 * @param schema as it stands in SQL @returns the salt of all hashes
 * @throws StoreError `unsupported-version`, `not-a-store`
 */
export async function migrate(client: PoolClient, schema: string, where: string, salt: Uint8Array): Promise<Buffer> {
  await client.query("BEGIN");
  try {
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended('microlora ' || $1, 0))", [schema]);
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    const { rows: found } = await client.query("SELECT to_regclass($1) AS meta, to_regclass($2) AS person", [
      `${schema}.meta`,
      `${schema}.person`,
    ]);
    const { meta, person } = found[0] as { readonly meta: string | null; readonly person: string | null };
    if (meta === null && person !== null) {
      throw new StoreError("not-a-store", where, "holds tables of another program", "Name another `schema`");
    }
    if (meta === null) {
      await client.query(`CREATE TABLE ${schema}.meta (
        one boolean PRIMARY KEY DEFAULT true CHECK (one), version int NOT NULL, readable_from int NOT NULL, salt bytea NOT NULL)`);
      await client.query(`INSERT INTO ${schema}.meta (version, readable_from, salt) VALUES (0, 0, $1)`, [
        Buffer.from(salt),
      ]);
    }
    const kept = await bringUp(client, schema, where);
    await client.query("COMMIT");
    return kept;
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}

async function bringUp(client: PoolClient, schema: string, where: string): Promise<Buffer> {
  const { rows } = await client.query(`SELECT version, readable_from, salt FROM ${schema}.meta`);
  const { version, readable_from: readableFrom, salt } = rows[0] as Meta;
  if (readableFrom > MIGRATIONS.length) {
    const problem = `has version ${version}, which programs of version ${readableFrom} and later read; this is ${MIGRATIONS.length}`;
    throw new StoreError("unsupported-version", where, problem, "Use the program that wrote it, or a newer one");
  }
  for (const [step, { sql, readableFrom: from }] of MIGRATIONS.entries()) {
    if (step < version) continue;
    await client.query(sql(schema));
    await client.query(`UPDATE ${schema}.meta SET version = $1, readable_from = $2`, [step + 1, from]);
  }
  return salt;
}

interface Meta {
  readonly version: number;
  readonly readable_from: number;
  readonly salt: Buffer;
}
