import type { Statement } from "./connections.js";

/** Every statement of a store, for the schema that its tables are in; the schema's name was checked. */
export type Statements = { readonly [K in keyof typeof TEXTS]: Statement };

const TEXTS = {
  /**
   * Appends, all or nothing for each user: the log of a user moves on only from where the event expects it. An id that is taken fails the
   * statement. $1 to $7 are of users, in the order of their hashes; $8 to $19 are of events.
   */
  append: `
    WITH given AS (
      SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])
        AS given (hash, tenant, name, expected, seq, updated, secret)
    ), fresh AS (
      INSERT INTO person (hash, tenant, name, start, seq, snapshot_seq, updated, secret)
      SELECT hash, tenant, name, 0, seq, 0, updated, secret FROM given WHERE expected = 0
      ON CONFLICT (hash) DO NOTHING RETURNING hash, secret
    ), known AS (
      UPDATE person SET tenant = given.tenant, name = given.name, seq = given.seq, updated = given.updated,
        secret = coalesce(person.secret, given.secret)
      FROM given WHERE person.hash = given.hash AND person.seq = given.expected AND given.expected > 0
      RETURNING person.hash, person.secret
    ), moved AS (
      SELECT * FROM fresh UNION ALL SELECT * FROM known
    ), events AS (
      SELECT events.*, moved.secret FROM unnest($8::bytea[], $9::bytea[], $10::bigint[], $11::text[], $12::bigint[], $13::text[], $14::text[],
        $15::text[], $16::bytea[], $17::bytea[], $18::bytea[], $19::bigint[])
        AS events (hash, person, seq, id, time, kind, kernels, version, payload, source, answer, crc)
      JOIN moved ON moved.hash = events.person
    ), logged AS (
      INSERT INTO event (person, seq, id, time, kind, kernels, version, payload, source, answer, crc)
      SELECT person, seq, id, time, kind, kernels, version, payload, source, answer, crc FROM events
    ), taken AS (
      INSERT INTO event_id (hash, person, seq, time, print, answer)
      SELECT hash, person, seq, time, sha256(secret || source), answer FROM events ORDER BY hash
    )
    SELECT hash FROM moved`,

  head: "SELECT seq FROM person WHERE hash = $1",

  people: "SELECT hash, start, seq, snapshot_seq, name FROM person WHERE hash = ANY ($1::bytea[])",

  ids: `
    SELECT event_id.hash, event_id.person, event_id.seq, event_id.print, event_id.answer, person.name, person.start, person.secret
    FROM event_id JOIN person ON person.hash = event_id.person WHERE event_id.hash = ANY ($1::bytea[])`,

  /** A user, the newest snapshot before $2, and the events after it up to $3: as of one moment, since it is one statement. */
  load: `
    WITH one AS (
      SELECT start, seq FROM person WHERE hash = $1
    ), newest AS (
      SELECT seq, bytes, crc FROM snapshot WHERE person = $1 AND seq < $2 ORDER BY seq DESC LIMIT 1
    )
    SELECT 0 AS part, seq, NULL AS id, start AS time, NULL AS kind, NULL AS kernels, NULL AS version, NULL::bytea AS payload,
      NULL::bytea AS source, NULL::bytea AS answer, NULL::bigint AS crc FROM one
    UNION ALL SELECT 1, seq, NULL, NULL, NULL, NULL, NULL, bytes, NULL, NULL, crc FROM newest
    UNION ALL SELECT 2, seq, id, time, kind, kernels, version, payload, source, answer, crc FROM event
      WHERE person = $1 AND seq > coalesce((SELECT seq FROM newest), (SELECT start FROM one)) AND seq <= $3
    ORDER BY 1, 2`,

  snapshots: "SELECT seq FROM snapshot WHERE person = $1 ORDER BY seq DESC LIMIT 2",

  /** Keeps the newest two. The row of the user is locked, so that no snapshot comes back behind an erasure. */
  snapshot: `
    WITH before AS MATERIALIZED (
      SELECT hash, snapshot_seq FROM person
      WHERE hash = $1 AND name IS NOT NULL AND start < $2 AND seq >= $2 AND snapshot_seq < $2 FOR UPDATE
    ), moved AS (
      UPDATE person SET snapshot_seq = $2 FROM before WHERE person.hash = before.hash
      RETURNING person.hash, before.snapshot_seq AS previous
    ), gone AS (
      DELETE FROM snapshot USING moved WHERE snapshot.person = moved.hash AND snapshot.seq < moved.previous
    ), kept AS (
      INSERT INTO snapshot (person, seq, bytes, crc) SELECT hash, $2, $3, $4 FROM moved
    )
    SELECT hash FROM moved`,

  /**
   * Erases a user who is as $2 and $3 say. What came since is not seen by this statement, and would stay: then it does nothing.
   */
  erase: `
    WITH buried AS (
      UPDATE person SET tenant = NULL, name = NULL, secret = NULL, start = seq + 1, seq = seq + 1, snapshot_seq = 0, updated = 0
      WHERE hash = $1 AND seq = $2 AND snapshot_seq = $3 AND name IS NOT NULL RETURNING hash
    ), events AS (
      DELETE FROM event USING buried WHERE event.person = buried.hash RETURNING 1
    ), snapshots AS (
      DELETE FROM snapshot USING buried WHERE snapshot.person = buried.hash RETURNING 1
    )
    SELECT (SELECT count(*) FROM buried) AS buried, (SELECT count(*) FROM events) AS events,
      (SELECT count(*) FROM snapshots) AS snapshots`,

  events: `
    SELECT seq, id, time, kind, kernels, version, payload, source, answer, crc FROM event
    WHERE person = $1 AND seq >= $2 AND EXISTS (SELECT FROM person WHERE hash = $1 AND name IS NOT NULL) ORDER BY seq LIMIT $3`,

  users: "SELECT name, seq, updated FROM person WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3",

  /** Removes events that two snapshots stand for, of the users whose hashes come after $2. */
  compactEvents: `
    WITH page AS (
      SELECT hash FROM person WHERE hash > $2 AND snapshot_seq > 0 ORDER BY hash LIMIT $3
    ), older AS (
      SELECT hash, (SELECT seq FROM snapshot WHERE person = page.hash ORDER BY seq DESC OFFSET 1 LIMIT 1) AS seq FROM page
    ), kept AS (
      SELECT hash, seq, (SELECT min(event.seq) FROM event WHERE person = hash AND time >= $1) AS first FROM older
    ), gone AS (
      DELETE FROM event USING kept
      WHERE event.person = kept.hash AND event.seq <= kept.seq AND event.seq < coalesce(kept.first, kept.seq + 1) RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) AS gone, (SELECT hash FROM page ORDER BY hash DESC LIMIT 1) AS last`,

  compactIds: `
    WITH gone AS (
      DELETE FROM event_id WHERE hash IN (SELECT hash FROM event_id WHERE time < $1 LIMIT $2) RETURNING 1
    )
    SELECT count(*) AS gone FROM gone`,
} as const;

export const TABLES = ["person", "event", "event_id", "snapshot"] as const;

/** @param schema as it stands in SQL */
export function statementsOf(schema: string): Statements {
  const qualified = new RegExp(`\\b(INSERT INTO|UPDATE|DELETE FROM|FROM|JOIN) (${TABLES.join("|")})\\b`, "g");
  const entries = Object.entries(TEXTS).map(([name, text]) => {
    return [name, { name: `microlora ${name}`, text: text.replace(qualified, `$1 ${schema}.$2`) }];
  });
  return Object.fromEntries(entries) as Statements;
}
