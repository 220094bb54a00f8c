import { StoreError } from "../base/errors.js";
import { refuseClosed } from "../contract/refusals.js";
import type { SqliteDatabase } from "./driver.js";

interface Job {
  readonly run: () => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

export interface CommitHooks {
  /** Runs something after what is ready by now. */
  defer(run: () => void): void;
  /** Runs at the start of each transaction. */
  begin(): void;
  /** Runs in each transaction before it is committed. */
  beforeCommit(): void;
  /** Runs after each commit, before anybody is told. */
  afterCommit(): void;
  /** An error as callers know it. */
  translate(error: unknown): unknown;
}

/**
 * Runs changes in transactions: all changes that wait at one time share a commit, and so one fsync. There is no timer: a change waits for
 * what the event loop has ready, and for the commit before.
 */
export class GroupCommit {
  readonly #database: SqliteDatabase;
  readonly #hooks: CommitHooks;
  #waiting: Job[] = [];
  #scheduled = false;
  #closed = false;

  constructor(database: SqliteDatabase, hooks: CommitHooks) {
    this.#database = database;
    this.#hooks = hooks;
  }

  /**
   * The value of a change, once it is committed.
   * @param run may run more than once; every time but the last was undone
   */
  enqueue<Value>(run: () => Value): Promise<Value> {
    if (this.#closed) return Promise.reject(refuseClosed());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ run, resolve, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      this.#hooks.defer(() => this.flush());
    });
  }

  /** Commits what waits. */
  flush(): void {
    this.#scheduled = false;
    let jobs = this.#waiting;
    this.#waiting = [];
    while (jobs.length > 0) jobs = this.#commit(jobs);
  }

  /** Commits what waits, and refuses what comes later. */
  close(): void {
    this.flush();
    this.#closed = true;
  }

  /** Commits jobs. @returns those that have to try again, since one beside them was refused */
  #commit(jobs: Job[]): Job[] {
    let current: Job | undefined;
    try {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      this.#database.exec("BEGIN IMMEDIATE");
      this.#hooks.begin();
      const values = jobs.map((job) => {
        current = job;
        return job.run();
      });
      current = undefined;
      this.#hooks.beforeCommit();
      this.#database.exec("COMMIT");
      this.#hooks.afterCommit();
      for (const [i, { resolve }] of jobs.entries()) resolve(values[i] as never);
      return [];
    } catch (error) {
      const refused = error instanceof StoreError ? current : undefined;
      this.#rollBack();
      const told = this.#hooks.translate(error);
      const failed = refused === undefined ? jobs : [refused];
      for (const { reject } of failed) reject(told);
      return jobs.filter((job) => !failed.includes(job));
    }
  }

  /** Undoes a transaction, unless SQLite did so itself: a second ROLLBACK would hide the error that counts. */
  #rollBack(): void {
    try {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    } catch {
      // The transaction is open still; the next commit tries again.
    }
  }
}
