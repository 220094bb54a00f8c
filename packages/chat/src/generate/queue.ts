import type { MicroLora } from "microlora";
import type { Batch, Cache, Engine } from "./engine.js";

/** One answer that is being generated. */
export interface Job {
  readonly adapter: MicroLora | null;
  /** Keys and values of everything before `first`. */
  readonly cache: Cache;
  /** The token to go on behind. */
  readonly first: number;
  /** Takes the scores of the next token, and chooses it; undefined if the answer is over. */
  next(scores: Float32Array): number | undefined;
  /** Called once, when the answer is over. */
  done(error?: unknown): void;
}

interface Row {
  readonly job: Job;
  token: number;
}

/**
 * Generates answers together: each step is one run with a row for each, and rows come and go between steps. A row's scores do not depend on
 * who else is in the batch: there are always two rows at least, since onnxruntime computes a single one by other kernels, and never only
 * rows of one adapter, which would be computed as one matrix.
 */
export class Queue {
  readonly #engine: Engine;
  readonly #waiting: Job[] = [];
  readonly #limit: number;
  #isRunning = false;

  /** @param limit rows of a batch at most */
  constructor(engine: Engine, limit: number) {
    this.#engine = engine;
    this.#limit = limit;
  }

  /** Tokens of a conversation and its answer at most. */
  get context(): number {
    return this.#engine.context;
  }

  add(job: Job): void {
    this.#waiting.push(job);
    if (this.#isRunning) return;
    this.#isRunning = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    let rows: Row[] = [];
    let batch: Batch | undefined;
    while (rows.length > 0 || this.#waiting.length > 0) {
      const joining = this.#waiting.splice(0, this.#limit - rows.length);
      const before = rows;
      rows = [...rows, ...joining.map((job): Row => ({ job, token: job.first }))];
      try {
        if (joining.length > 0) {
          const caches = [...before.map((_, i) => batch!.cacheOf(i)), ...joining.map(({ cache }) => cache)];
          batch = this.#engine.batch(padded(caches, rows));
        }
        const tokens = rows.map(({ token }) => token);
        const adapters = rows.map(({ job }) => job.adapter);
        const scores = await batch!.step(filled(tokens, batch!.size, 0), filled(adapters, batch!.size, null));
        [rows, batch] = this.#advance(rows, batch!, scores);
      } catch (error) {
        for (const { job } of rows) job.done(error);
        [rows, batch] = [[], undefined];
      }
    }
    this.#isRunning = false;
  }

  /** Hands scores out, and takes rows out whose answers are over. */
  #advance(rows: readonly Row[], batch: Batch, scores: readonly Float32Array[]): [Row[], Batch | undefined] {
    const staying: number[] = [];
    for (const [i, row] of rows.entries()) {
      try {
        const token = row.job.next(scores[i]!);
        if (token === undefined) row.job.done();
        else {
          row.token = token;
          staying.push(i);
        }
      } catch (error) {
        row.job.done(error);
      }
    }
    if (staying.length === rows.length) return [[...rows], batch];
    if (staying.length === 0) return [[], undefined];
    const caches = staying.map((i) => batch.cacheOf(i));
    const left = staying.map((i) => rows[i]!);
    return [left, this.#engine.batch(padded(caches, left))];
  }
}

/** Rows with one more that nobody reads, without an adapter and as short as can be, where there is one only or one adapter only. */
function padded(caches: readonly Cache[], rows: readonly Row[]): readonly Cache[] {
  const adapters = new Set(rows.map(({ job }) => job.adapter));
  const isMixed = adapters.size > 1 || adapters.has(null);
  if (caches.length > 1 && isMixed) return caches;
  return [...caches, caches.reduce((best, cache) => (cache.length < best.length ? cache : best))];
}

function filled<T>(list: readonly T[], length: number, filler: T): readonly T[] {
  return [...list, ...Array.from({ length: length - list.length }, () => filler)];
}
