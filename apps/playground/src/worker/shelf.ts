import { type IDBPDatabase, openDB } from "idb";
import type { Saved } from "./person.js";

/** Whether this tab keeps what it learns, and if not, why. */
export type Keeping =
  | { readonly kind: "kept" }
  | { readonly kind: "other-tab" }
  | { readonly kind: "memory"; readonly why: string };

const NAME = "microlora-playground";

/**
 * Users in IndexedDB. One tab writes, the one that holds a lock; each write is one transaction of one record, so that it is there in full
 * or not at all. Where nothing can be kept (private windows, sandboxed frames, a full disk) the page goes on in memory, and says so.
 */
export class Shelf {
  #database: IDBPDatabase | null = null;
  #keeping: Keeping = { kind: "memory", why: "" };
  #release: () => void = () => {};
  readonly #told: (keeping: Keeping) => void;

  constructor(told: (keeping: Keeping) => void) {
    this.#told = told;
  }

  get keeping(): Keeping {
    return this.#keeping;
  }

  async open(): Promise<void> {
    try {
      this.#database = await openDB(NAME, 1, {
        upgrade: (database) => void database.createObjectStore("users", { keyPath: ["corpus", "name"] }),
      });
      await this.#lock({ ifAvailable: true });
    } catch (error) {
      this.#now({ kind: "memory", why: reasonOf(error) });
    }
  }

  /** Takes the writing over from another tab. */
  async takeOver(): Promise<void> {
    await this.#lock({ steal: true });
  }

  async usersOf(corpus: string): Promise<Saved[]> {
    if (this.#database === null) return [];
    const all = (await this.#database.getAll("users")) as Saved[];
    return all.filter((saved) => saved.corpus === corpus);
  }

  async put(saved: Saved): Promise<void> {
    await this.#write((database) => database.put("users", saved, undefined));
  }

  async delete(corpus: string, name: string): Promise<void> {
    await this.#write((database) => database.delete("users", [corpus, name]));
  }

  async #write(change: (database: IDBPDatabase) => Promise<unknown>): Promise<void> {
    if (this.#database === null || this.#keeping.kind !== "kept") return;
    try {
      await change(this.#database);
    } catch (error) {
      this.#release();
      this.#now({ kind: "memory", why: reasonOf(error) });
    }
  }

  /** Fulfilled when it is known whether this tab has the lock. */
  #lock(options: LockOptions): Promise<void> {
    // Plain http has no locks: then each tab keeps what it learns, and the last one wins.
    if (!("locks" in navigator)) {
      this.#now({ kind: "kept" });
      return Promise.resolve();
    }
    return new Promise((decided) => {
      const held = navigator.locks.request(NAME, options, (lock) => {
        this.#now(lock === null ? { kind: "other-tab" } : { kind: "kept" });
        decided();
        return lock === null ? undefined : new Promise<void>((release) => (this.#release = release));
      });
      held.catch(() => {
        this.#now({ kind: "other-tab" });
        decided();
      });
    });
  }

  #now(keeping: Keeping): void {
    this.#keeping = keeping;
    this.#told(keeping);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof DOMException || error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
