import { afterAll, beforeAll, describe } from "vitest";
import { Cluster, POSTGRES_PROGRAMS } from "../../cluster/cluster.mjs";
import { describeHome, type Home } from "../contract/conformance.test-support.js";
import { testAgainstModel } from "../contract/stateful.test-support.js";
import { openMemoryStore } from "../memory/memory-store.js";
import { openPostgresStore } from "./node.js";

/** Sequences of calls; a schema for each takes a while, so there are fewer than for other homes. */
const SEQUENCES = Math.ceil(Number(process.env.STATEFUL ?? 200) / 10);

describe.skipIf(POSTGRES_PROGRAMS === undefined)("with PostgreSQL beside it", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start();
  }, 60_000);
  afterAll(() => cluster.remove());

  let count = 0;
  const home: Home = {
    open: (schema) => openPostgresStore(cluster.url, { schema, connections: 2 }),
    newPlace: () => `place_${count++}`,
    remains: ["dead rows and the write-ahead log of PostgreSQL, until it vacuums and recycles them", "its backups"],
  };

  describeHome("PostgreSQL", home);
  testAgainstModel("PostgreSQL", home, openMemoryStore, SEQUENCES);
});
