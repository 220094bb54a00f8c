import type { UserKey } from "@microlora/store";
import type { DocumentId } from "microlora";
import { SearchError, shown } from "../base/errors.js";

/** A search that may be clicked on. */
export interface RecentSearch<Id extends DocumentId> {
  readonly key: UserKey;
  readonly text: string;
  /** The embedding of the text [dimensions]. */
  readonly query: Float32Array;
  /** What was shown, the best first. */
  shown: readonly Id[];
}

/** The last searches, so that a click knows its query and what was shown. */
export class RecentSearches<Id extends DocumentId> {
  readonly #most: number;
  readonly #searches = new Map<string, RecentSearch<Id>>();

  constructor(most: number) {
    this.#most = most;
  }

  set(id: string, search: RecentSearch<Id>): void {
    this.#searches.set(id, search);
    if (this.#searches.size <= this.#most) return;
    for (const oldest of this.#searches.keys()) {
      this.#searches.delete(oldest);
      return;
    }
  }

  /** @throws SearchError `unknown-search` */
  get(id: unknown): RecentSearch<Id> {
    const search = this.#searches.get(id as string);
    if (search !== undefined) return search;
    const remedy = "Pass a hit of a recent search, or use `learn` with the text and what was shown";
    throw new SearchError("unknown-search", "hit.search", `${shown(id)} is not remembered`, remedy);
  }

  /** Notes what was found, if the user was not forgotten meanwhile. */
  found(id: string, shown: readonly Id[]): void {
    const search = this.#searches.get(id);
    if (search !== undefined) search.shown = shown;
  }

  /** Drops what a user looked for. */
  forget({ tenant, user }: UserKey): void {
    for (const [id, { key }] of this.#searches) {
      if (key.tenant === tenant && key.user === user) this.#searches.delete(id);
    }
  }
}
