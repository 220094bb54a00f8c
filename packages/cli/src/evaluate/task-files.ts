import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Choice, Matrix, Measures, Person } from "@microlora/evaluate";
import type { LogFacts } from "./prepare.js";

/** What the replay knows beside vectors. */
export interface TaskFacts {
  readonly log: LogFacts;
  readonly dimensions: number;
  /** Documents that are searched. */
  readonly indexed: number;
  readonly isRated: boolean;
  readonly hasTopics: boolean;
  /** Rows of the documents that are looked for by name. */
  readonly named: readonly number[];
  /** Whether names are vectors with noise, since documents have no texts. */
  readonly namesAreNoisy: boolean;
  /** What stands for queries that the log does not have. */
  readonly query: "log" | "mean" | "last";
  /** Documents to choose from that were drawn at random; null where the log says them, 0 for the whole index. */
  readonly drawn: number | null;
  readonly tune: number;
  readonly test: number;
  /** Choices that were left out, since the embedder knows no word of their query. */
  readonly emptyQueries: number;
  /** Share of reported choices whose weight was clipped; null without propensities. */
  readonly clipped: number | null;
}

/** A choice as its file keeps it: the query is a row of the file beside it. */
export interface StoredChoice {
  readonly q: number;
  readonly shown: readonly number[] | null;
  readonly chosen: number;
  readonly topic: number;
  readonly rating: number | null;
  readonly weight: number;
}

/** The numbers that all threads share. */
export interface SharedTask {
  readonly facts: TaskFacts;
  readonly items: Float32Array;
  readonly names: Float32Array;
  readonly halves: Float32Array;
  readonly popularity: Float64Array;
}

export function writeFloats(
  folder: string,
  name: string,
  { buffer, byteOffset, byteLength }: Float32Array | Float64Array,
) {
  writeFileSync(join(folder, name), new Uint8Array(buffer, byteOffset, byteLength));
}

function sharedBytes(folder: string, name: string): SharedArrayBuffer {
  const bytes = readFileSync(join(folder, name));
  const shared = new SharedArrayBuffer(bytes.length);
  new Uint8Array(shared).set(bytes);
  return shared;
}

/** Reads what `writeTask` wrote, into memory that threads share. */
export function readTask(folder: string): SharedTask {
  return {
    facts: JSON.parse(readFileSync(join(folder, "task.json"), "utf8")),
    items: new Float32Array(sharedBytes(folder, "items.f32")),
    names: new Float32Array(sharedBytes(folder, "names.f32")),
    halves: new Float32Array(sharedBytes(folder, "halves.f32")),
    popularity: new Float64Array(sharedBytes(folder, "popularity.f64")),
  };
}

/** What is measured, as `@microlora/evaluate` takes it. */
export function measuresOf({ facts, items, names, halves, popularity }: SharedTask): Measures {
  const { dimensions: cols, isRated: rated, hasTopics, named } = facts;
  const matrix = (data: Float32Array): Matrix => ({ rows: data.length / cols, cols, data });
  return {
    task: { items: matrix(items), popularity, rated, indexed: true },
    named: { items: Int32Array.from(named), names: matrix(names), halves: matrix(halves) },
    hasTopics,
  };
}

export type Place = "tune" | "test";

export function writePerson(
  folder: string,
  place: Place,
  i: number,
  choices: readonly StoredChoice[],
  queries: Float32Array,
): void {
  writeFileSync(join(folder, `${place}-${i}.json`), JSON.stringify(choices));
  writeFloats(folder, `${place}-${i}.f32`, queries);
}

export function readPerson(folder: string, place: Place, i: number, dimensions: number): Person {
  const choices: readonly StoredChoice[] = JSON.parse(readFileSync(join(folder, `${place}-${i}.json`), "utf8"));
  const bytes = new Uint8Array(readFileSync(join(folder, `${place}-${i}.f32`)));
  const queries = new Float32Array(bytes.buffer);
  return {
    choices: choices.map(
      ({ q, shown, chosen, topic, rating, weight }): Choice => ({
        query: queries.subarray(q * dimensions, (q + 1) * dimensions),
        shown: shown === null ? null : Int32Array.from(shown),
        chosen,
        topic,
        weight,
        ...(rating !== null && { rating }),
      }),
    ),
  };
}
