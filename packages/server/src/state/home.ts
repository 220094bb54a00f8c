import { mkdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { TextEmbedder } from "@microlora/embed";
import { openPool, type PersonalUser, type Pool, personalUsers, type Store } from "@microlora/store";
import { openPostgresStore } from "@microlora/store/postgres";
import { openSqliteStore } from "@microlora/store/sqlite";
import { Runtime } from "microlora";
import { type DocumentIndex, documentIndexes } from "./document-index.js";
import { type ShownLimits, ShownRequests } from "./shown-requests.js";

export interface HomeOptions {
  /** The folder; it is made if it is not there. */
  readonly data: string;
  /** The address of a PostgreSQL database that has users and documents in place of the folder. */
  readonly database?: string;
  readonly embedder: TextEmbedder;
  /** Bytes of memory for users in use. */
  readonly userBytes: number;
  /** Bytes of memory for indexes in use. */
  readonly indexBytes: number;
  readonly shown: ShownLimits;
  readonly now: () => number;
}

/** Documents between two snapshots of an index are many, since a snapshot holds all of them. */
const INDEX_SNAPSHOT_EVERY = 500;
/** Room that a runtime has beside what its pool counts: scratch memory, holes, a user who is being loaded. */
const SPARE_BYTES = 64 * 1024 * 1024;
const MAX_RUNTIME_BYTES = 4 * 1024 ** 3 - 65_536;

/** Everything that a service keeps: users, indexes, and what was shown. */
export interface Home {
  readonly embedder: TextEmbedder;
  readonly userStore: Store;
  readonly users: Pool<PersonalUser>;
  readonly indexStore: Store;
  readonly indexes: Pool<DocumentIndex>;
  readonly shown: ShownRequests;
  /** Where backups lie. */
  readonly backups: string;
  /** Copies everything: into a new folder below `data/backups`, or within the database into new schemas. @returns where it is */
  backup(): Promise<string>;
  /** Waits for what is under way, and closes the files. */
  close(): Promise<void>;
}

export const FILES = { users: "users.sqlite", documents: "documents.sqlite", keys: "keys.json" } as const;

/** Where the two stores of a service are, and where their copies go. */
interface Places {
  open(name: StoreName): Promise<Store>;
  /** A new place, and those of the two stores in it. */
  newCopy(at: Date): Promise<{ readonly place: string; readonly of: { readonly [K in StoreName]: string } }>;
}
type StoreName = "users" | "documents";

function inFolder(data: string, backups: string): Places {
  return {
    open: (name) => openSqliteStore(join(data, FILES[name])),
    async newCopy(at) {
      const place = join(backups, at.toISOString().replaceAll(":", "-"));
      await mkdir(place, { recursive: true });
      return { place, of: { users: join(place, FILES.users), documents: join(place, FILES.documents) } };
    },
  };
}

function inDatabase(url: string): Places {
  const schemaOf = (name: StoreName) => `microlora_${name}`;
  return {
    open: (name) => openPostgresStore(url, { schema: schemaOf(name) }),
    async newCopy(at) {
      const stamp = at.toISOString().replaceAll(/[^0-9]/g, "");
      const of = { users: `${schemaOf("users")}_${stamp}`, documents: `${schemaOf("documents")}_${stamp}` };
      return { place: `schemas ${of.users} and ${of.documents}`, of };
    },
  };
}

/** Opens what a service keeps. @throws StoreError, MicroLoraError `memory-full` */
export async function openHome(options: HomeOptions): Promise<Home> {
  const { data, database, embedder, now } = options;
  mkdirSync(data, { recursive: true });
  const backups = join(data, "backups");
  const places = database === undefined ? inFolder(data, backups) : inDatabase(database);
  const [userRuntime, indexRuntime] = await Promise.all([options.userBytes, options.indexBytes].map(createRuntime));
  const userStore = await places.open("users");
  const indexStore = await places.open("documents").catch(async (error) => {
    await userStore.close();
    throw error;
  });
  const people = personalUsers({ runtime: userRuntime!, embedder });
  const documents = documentIndexes({ runtime: indexRuntime!, embedder });
  const users = await openPool({ store: userStore, memoryBytes: options.userBytes, now, ...people });
  const indexes = await openPool({
    store: indexStore,
    memoryBytes: options.indexBytes,
    snapshotEvery: INDEX_SNAPSHOT_EVERY,
    now,
    ...documents,
  });
  return {
    embedder,
    userStore,
    users,
    indexStore,
    indexes,
    shown: new ShownRequests(options.shown, now),
    backups,
    async backup() {
      const { place, of } = await places.newCopy(new Date(now()));
      await userStore.backup(of.users);
      await indexStore.backup(of.documents);
      return place;
    },
    async close() {
      await Promise.all([users.close(), indexes.close()]);
      await Promise.all([userStore.close(), indexStore.close()]);
    },
  };
}

function createRuntime(bytes: number): Promise<Runtime> {
  const memoryBytes = Math.min(bytes + SPARE_BYTES, MAX_RUNTIME_BYTES);
  return Runtime.create({ kernels: "simd", memoryBytes });
}
