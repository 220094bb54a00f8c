import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { MicroLoraError } from "../base/errors.js";
import { onDisk, shownPath } from "./file-error.js";
import type { Place } from "./lock.js";

/** The content that a file must have before a save replaces it. */
export type Over = "anything" | "known" | "nothing";

/** The contents of a file, told by their hash; undefined: there is no file. */
export type Version = string | undefined;

/** What each state was loaded from or saved as last, by target. */
const known = new WeakMap<object, Map<string, Version>>();

export function versionOf(bytes: Uint8Array): Version {
  return createHash("sha256").update(bytes).digest("base64");
}

/** Remembers what a file holds, as far as a state knows. */
export function remember(state: object, target: string, version: Version): void {
  const versions = known.get(state) ?? new Map<string, Version>();
  known.set(state, versions.set(target, version));
}

/**
 * Refuses to replace a file that holds something else than it should.
 * @throws MicroLoraError `conflict`
 */
export async function checkVersion(state: object, { target, path }: Place, over: Over): Promise<void> {
  const versions = known.get(state);
  if (over === "anything" || (over === "known" && !versions?.has(target))) return;
  const expected = over === "nothing" ? undefined : versions?.get(target);
  const found = await currentVersion(target, path);
  if (found === expected) return;
  const problem =
    expected === undefined
      ? "exists already"
      : found === undefined
        ? "was removed since this state was loaded or saved"
        : "was changed since this state was loaded or saved";
  const remedy = 'Load it and learn again what is missing there, or pass { over: "anything" } to replace it';
  throw new MicroLoraError("conflict", shownPath(path), problem, remedy);
}

function currentVersion(target: string, path: string): Promise<Version> {
  return onDisk(path, "reading", () =>
    readFile(target).then(versionOf, (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    }),
  );
}
