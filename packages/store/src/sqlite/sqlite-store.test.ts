import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { describeHome, type Home } from "../contract/conformance.test-support.js";
import { testAgainstModel } from "../contract/stateful.test-support.js";
import { openMemoryStore } from "../memory/memory-store.js";
import { openSqliteStore } from "./node.js";

/** Sequences of calls; `STATEFUL` asks for more. */
const SEQUENCES = Number(process.env.STATEFUL ?? 200);

const folder = mkdtempSync(join(tmpdir(), "microlora-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const home: Home = { open: openSqliteStore, newPlace: () => join(folder, `${count++}`) };

describeHome("SQLite", home);
testAgainstModel("SQLite", home, openMemoryStore, SEQUENCES);
