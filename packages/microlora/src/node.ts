/// <reference lib="esnext.disposable" preserve="true" />

import { readFile } from "node:fs/promises";
import { type LoadOptions, MicroLora } from "./adapter/micro-lora.js";
import { refuseConfig, withDefaults } from "./base/check.js";
import { type Doing, onDisk } from "./files/file-error.js";
import type { Place } from "./files/lock.js";
import { type Part, replace } from "./files/replace.js";
import { pathOf, targetOf } from "./files/target.js";
import { inTurn } from "./files/turns.js";
import { checkVersion, type Over, remember, versionOf } from "./files/versions.js";
import { METHODS } from "./learner/all-methods.js";
import { Learner } from "./learner/learner.js";
import { Personalizer } from "./search/personalizer.js";

/** Anything that has a byte form: a `MicroLora`, a `Learner`, a `Personalizer`, a `ModelLearner` of `@microlora/onnx`. */
export interface Saveable {
  /** Everything that a restart must bring back, as a file. */
  toBytes(): Uint8Array | Promise<Uint8Array>;
}

/** What a caller may choose about `save`. */
export interface SaveOptions {
  /**
   * What the file has to hold before it is replaced: "known", what this state was loaded from or saved as there, and anything
   * if it was neither; "nothing", so that there may be no file yet; or "anything". Default: "known".
   */
  readonly over?: Over;
}

/** A file that is to be written: its path, and what gives its bytes, one piece after the other. */
export interface Replacement {
  /** The file that is written. */
  readonly path: string | URL;
  /** Writes the new content: it calls `append` for each part in turn. */
  readonly write: (append: (bytes: Uint8Array) => Promise<void>) => Promise<void>;
}

/**
 * Writes a state to a file, so that a kill at any moment leaves the old file or the new one.
 *
 * The state is taken when `save` is called, and calls for one file take effect in the order of the calls. A save that waits
 * while the same state is saved there again is left out, and ends with the later one. Mode and owner of a file are kept, and
 * symbolic links are followed; another hard link keeps the old contents. If another process, or another copy of the state,
 * has changed the file since this state was loaded or saved, nothing is written and the error says so.
 *
 * A kill may leave files named `.….mlora-tmp` or `.….mlora-lock` beside it, which nothing reads; a later save into the folder
 * removes those that are older than ten minutes.
 *
 * @throws MicroLoraError `conflict`; `cannot-write` with the file system's error as its `cause`; `invalid-config`; what
 * `state.toBytes()` throws
 */
export async function save(state: Saveable, path: string | URL, options?: SaveOptions): Promise<void> {
  const { over } = withDefaults({ over: "known" } as const satisfies SaveOptions, options, "options");
  if (!["anything", "known", "nothing"].includes(over)) {
    refuseConfig("options.over", over, 'Pass "known", "nothing" or "anything"');
  }
  const place = placeOf(path, "writing");
  const bytes = bytesOf(state);
  // A failure is told when the turn comes; until then it is not an unhandled one.
  if (bytes instanceof Promise) bytes.catch(() => {});
  return enqueue({ state, place, over, bytes });
}

interface Saving {
  readonly state: Saveable;
  readonly place: Place;
  readonly over: Over;
  readonly bytes: Uint8Array | Promise<Uint8Array>;
}

interface Queued extends Saving {
  done?: Promise<void>;
  /** What was called for the same file next. */
  next?: Queued | "another";
}

/** The last save that was called for each target. */
const newest = new Map<string, Queued>();

function enqueue(saving: Saving): Promise<void> {
  const { target } = saving.place;
  const queued: Queued = saving;
  const before = newest.get(target);
  if (before !== undefined) before.next = queued;
  newest.set(target, queued);
  let later: Promise<void> | undefined;
  const turn = inTurn([target], async () => {
    if (newest.get(target) === queued) newest.delete(target);
    const { next } = queued;
    if (next !== undefined && next !== "another" && isLaterState(next, queued)) later = next.done;
    else await write(saving);
  });
  queued.done = turn.then(() => later);
  return queued.done;
}

/** Whether writing `next` alone leaves what writing both would. */
function isLaterState(next: Queued, queued: Queued): boolean {
  const isOver = next.over === queued.over && next.over !== "nothing";
  return isOver && next.state === queued.state && next.bytes instanceof Uint8Array;
}

async function write({ state, place, over, bytes }: Saving): Promise<void> {
  const data = await bytes;
  if (!(data instanceof Uint8Array)) refuseConfig("state.toBytes()", data, "Return a Uint8Array");
  const part: Part = { ...place, write: (append) => append(data), check: () => checkVersion(state, place, over) };
  await replace([part], () => remember(state, place.target, versionOf(data)));
}

function bytesOf(state: Saveable): Uint8Array | Promise<Uint8Array> {
  if (typeof state?.toBytes === "function") return state.toBytes();
  return refuseConfig("state", state, "Pass a state that has toBytes()");
}

function placeOf(given: string | URL, doing: Doing): Place {
  const path = pathOf(given);
  return { path, target: targetOf(path, doing) };
}

/**
 * Writes several files as `save` does, all or none: none is replaced before all are written, and if one cannot be replaced,
 * the others get their old contents back. The first is replaced last. A kill between two replacements leaves some of them new.
 * @throws MicroLoraError `cannot-write`, with the file system's error as its `cause`; what a `write` throws
 */
export async function replaceFiles(files: readonly Replacement[]): Promise<void> {
  const parts = files.map(({ path, write }) => ({ ...placeOf(path, "writing"), write }));
  const targets = new Set(parts.map(({ target }) => target));
  if (targets.size < parts.length) refuseConfig("files", files, "Pass each file once");
  for (const target of targets) {
    const before = newest.get(target);
    if (before !== undefined) before.next = "another";
    newest.delete(target);
  }
  await inTurn([...targets], () => replace(parts));
}

/**
 * Reads what `save` wrote of any kind of state, after the saves to that file which were called before, and remembers what it
 * held, for the state's next `save`.
 * @param decode makes the state of the bytes
 * @throws MicroLoraError `no-such-file`; `cannot-read`, with the file system's error as its `cause`; what `decode` throws
 */
export async function loadWith<State extends object>(
  path: string | URL,
  decode: (bytes: Uint8Array) => State | Promise<State>,
): Promise<State> {
  const place = placeOf(path, "reading");
  const bytes = await inTurn([place.target], () => onDisk(place.path, "reading", () => readFile(place.target)));
  const state = await decode(bytes);
  remember(state, place.target, versionOf(bytes));
  return state;
}

/** Reads what `save` wrote of a `MicroLora`. @throws MicroLoraError as `loadWith` and `MicroLora.fromBytes` */
export async function load(path: string | URL, options?: LoadOptions): Promise<MicroLora> {
  return loadWith(path, (bytes) => MicroLora.fromBytes(bytes, { methods: METHODS, ...options }));
}

/** Reads what `save` wrote of a `Personalizer`. @throws MicroLoraError as `loadWith` and `Personalizer.fromBytes` */
export async function loadPersonalizer(path: string | URL, options?: LoadOptions): Promise<Personalizer> {
  return loadWith(path, (bytes) => Personalizer.fromBytes(bytes, { methods: METHODS, ...options }));
}

/** Reads what `save` wrote of a `Learner`. @throws MicroLoraError as `loadWith` and `Learner.fromBytes` */
export async function loadLearner(path: string | URL, options?: LoadOptions): Promise<Learner> {
  return loadWith(path, (bytes) => Learner.fromBytes(bytes, { methods: METHODS, ...options }));
}
