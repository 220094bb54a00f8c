import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { loadEmbedder } from "@microlora/embed";
import { type Matrix, matrixOf } from "@microlora/evaluate";
import type { Split } from "./problem.js";

/** The folder of converted data; nothing of it lies in the repository. */
export const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "microlora-bench", "people");

/** What `data/convert.py` writes of MovieLens. */
export interface Films {
  readonly genres: readonly (readonly string[])[];
  readonly popularity: readonly number[];
  readonly users: readonly { readonly split: Split; readonly events: readonly (readonly [number, number, number])[] }[];
}

/** What it writes of people who choose among a few options. */
export interface Panel {
  readonly brands: number;
  readonly attributes: number;
  readonly users: readonly {
    readonly split: Split;
    readonly events: readonly {
      readonly chosen: number;
      readonly brands: readonly number[];
      readonly attributes: readonly (readonly number[])[];
    }[];
  }[];
}

/** What it writes of Ta Feng. */
export interface Groceries {
  readonly subclass: readonly number[];
  readonly popularity: readonly number[];
  readonly users: readonly { readonly split: Split; readonly events: readonly (readonly [number, number])[] }[];
}

/** What it writes of InstEval. */
export interface Lecturers {
  readonly mean: readonly number[];
  readonly users: readonly { readonly split: Split; readonly events: readonly (readonly [number, number])[] }[];
}

export function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(join(CACHE, `${name}.json`), "utf8"));
}

/** Float32 rows of a file, without a header. */
export function readVectors(name: string, cols: number): Matrix {
  const data = new Float32Array(new Uint8Array(readFileSync(join(CACHE, `${name}.f32`))).buffer);
  return { rows: data.length / cols, cols, data };
}

/** Every text of a data set by the embedder of `@microlora/embed`, 256 wide. */
export async function embedTexts(name: string): Promise<Matrix> {
  const embedder = await loadEmbedder();
  const vectors = embedder.embedBatch(readJson<string[]>(`${name}.texts`));
  return matrixOf(vectors);
}
