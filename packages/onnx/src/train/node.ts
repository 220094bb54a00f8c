import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { save } from "microlora/node";
import type { DerivationCache } from "./derivation-cache.js";

/**
 * A cache of derived graphs in a folder, a file each, which is made if it is not there. A file is whole or not there, and is
 * read as if it were not there if it cannot be read.
 */
export function folderCache(folder: string): DerivationCache {
  const fileOf = (key: string) => join(folder, `${key}.derivation`);
  return {
    get: (key) => readFile(fileOf(key)).catch(() => undefined),
    async set(key, bytes) {
      await mkdir(folder, { recursive: true });
      await save({ toBytes: () => bytes }, fileOf(key));
    },
  };
}
