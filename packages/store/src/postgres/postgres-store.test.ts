import pg from "pg";
import { afterAll, beforeAll, describe } from "vitest";
import { Cluster, POSTGRES_PROGRAMS } from "../../cluster/cluster.mjs";
import { describeHome, type Home } from "../contract/conformance.test-support.js";
import { testAgainstModel } from "../contract/stateful.test-support.js";
import { openMemoryStore } from "../memory/memory-store.js";
import { openPostgresStore } from "./node.js";
import { TABLES } from "./statements.js";

/** Sequences of calls; each call goes to a server and back, so there are fewer than for other homes. */
const SEQUENCES = Math.ceil(Number(process.env.STATEFUL ?? 200) / 20);

describe.skipIf(POSTGRES_PROGRAMS === undefined)("with PostgreSQL beside it", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start();
  }, 60_000);
  afterAll(() => cluster.remove());

  let count = 0;
  const open = (schema: string) => openPostgresStore(cluster.url, { schema, connections: 2 });
  const home: Home = {
    open,
    newPlace: () => `place_${count++}`,
    remains: ["dead rows and the write-ahead log of PostgreSQL, until it vacuums and recycles them", "its backups"],
  };
  describeHome("PostgreSQL", home);

  /** One schema for all sequences, emptied for each: making its tables takes longer than a sequence. */
  let used = "";
  const emptied: Home = {
    newPlace: home.newPlace,
    async open(place) {
      const store = await open("shared");
      if (place === used) return store;
      used = place;
      const client = new pg.Client(cluster.url);
      await client.connect();
      for (const table of TABLES) await client.query(`DELETE FROM shared.${table}`);
      await client.end();
      return store;
    },
  };
  testAgainstModel("PostgreSQL", emptied, openMemoryStore, SEQUENCES);
});
