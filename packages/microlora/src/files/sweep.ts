import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

/** How old a file that a kill left has to be; also how long a folder is not looked through again. */
const STALE_MILLISECONDS = 10 * 60_000;

/** What saves make beside a file: the new file while it is written, the old one while several are replaced, a lock. */
const OURS = /^\.[\w-]{12,16}\.mlora-(tmp|old|lock)$/;

/** The name of a file beside the one that is saved, of one length, which a file system allows wherever it allows a long name. */
export function nameOf(id: string, kind: "tmp" | "old" | "lock"): string {
  return `.${id}.mlora-${kind}`;
}

/** Temporary files that this process is using. */
export const isOurs = new Set<string>();
const sweptAt = new Map<string, number>();

/** Removes what killed saves left in a folder. */
export async function sweep(folder: string): Promise<void> {
  const now = Date.now();
  if (now - (sweptAt.get(folder) ?? 0) < STALE_MILLISECONDS) return;
  if (sweptAt.size >= 1000) sweptAt.clear();
  sweptAt.set(folder, now);
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    if (!OURS.test(name) || isOurs.has(path)) continue;
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) continue;
    // The old file of a replacement has the age of its contents: what counts is when it got this name.
    const since = name.endsWith("old") ? found.ctimeMs : found.mtimeMs;
    if (now - since > STALE_MILLISECONDS) await rm(path, { force: true }).catch(() => {});
  }
}
