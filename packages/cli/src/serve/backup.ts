import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { copyFile, open } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openSqliteStore } from "@microlora/store/sqlite";
import { Refusal } from "../refusal.js";
import type { Terminal } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";

export const BACKUP_USAGE = `Usage: microlora backup TO [--data FOLDER]
       microlora restore FROM [--data FOLDER]

Copies users and documents of a service that does not run, checked row by row; and puts such a copy into an empty folder.
A service that runs makes the same copy below its folder, in "backups", on POST /admin/backup. Keys are not copied.

--data FOLDER    the folder of the service (default "./users")`;

const FILES = ["users.sqlite", "documents.sqlite"];

/** Copies a service's folder. */
export function backup(args: readonly string[], terminal: Terminal): Promise<void> {
  return copy(args, terminal, async (data, to) => {
    requireEmpty(to);
    for (const name of FILES) {
      if (!existsSync(join(data, name)))
        throw new Refusal(`${join(data, name)}: there is no such file`, "no-such-file");
      const store = await openSqliteStore(join(data, name));
      try {
        await store.verify();
        await store.backup(join(to, name));
      } finally {
        await store.close();
      }
    }
  });
}

/** Puts a copy in place. */
export function restore(args: readonly string[], terminal: Terminal): Promise<void> {
  return copy(args, terminal, async (data, from) => {
    requireEmpty(data);
    for (const name of FILES) {
      await copyFile(join(from, name), join(data, name));
      const file = await open(join(data, name), "r+");
      await file.sync();
      await file.close();
      const store = await openSqliteStore(join(data, name));
      try {
        await store.verify();
      } finally {
        await store.close();
      }
    }
  });
}

async function copy(
  args: readonly string[],
  terminal: Terminal,
  run: (data: string, other: string) => Promise<void>,
): Promise<void> {
  const options = {
    help: { type: "boolean", short: "h", default: false },
    data: { type: "string", default: "./users" },
  } as const;
  const { values, positionals } = parsed(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  if (values.help) {
    terminal.print(BACKUP_USAGE);
    return;
  }
  const [other] = positionals;
  if (other === undefined || positionals.length > 1) throw new UsageError(BACKUP_USAGE);
  await run(values.data, other);
  terminal.print("Done; every row was checked.");
}

function requireEmpty(folder: string): void {
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).length === 0) return;
  throw new Refusal(`${folder}: is not empty. Name an empty folder`, "cannot-write");
}
