import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { FormatError } from "@microlora/formats";
import { fileError, kindOfPath } from "@microlora/formats/node";

/** @throws FormatError `cannot-read` unless there is a file at the path */
export async function requireFile(path: string): Promise<void> {
  if ((await kindOfPath(path)) === "file") return;
  throw new FormatError("cannot-read", path, "is a folder", "Pass a file");
}

/** Refuses, before any work is done, a path that could not be written at its end. @throws FormatError `cannot-write` */
export async function requireWritable(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) throw new FormatError("cannot-write", path, "is a folder", "Give the path of a file");
  try {
    await access(found === undefined ? dirname(path) : path, constants.W_OK);
  } catch (cause) {
    throw fileError(cause, path, "writing");
  }
}
