import {
  type ErasureReceipt,
  openMemoryStore,
  type Pool,
  type Store,
  StoreError,
  type Turn,
  type UserKey,
  userKey,
} from "@microlora/store";
import { type DocumentId, EmbeddingIndex, MicroLoraError, type Personalizer, type SearchHit } from "microlora";
import { refuse, SearchError } from "../base/errors.js";
import { checkId, goneError } from "../base/ids.js";
import { CheckedEmbedder } from "../embedder/embedder.js";
import {
  checkDeed,
  checkRating,
  type Deed,
  decodeHappening,
  encodeHappening,
  type SearchEvent,
} from "../users/event.js";
import { openUsers, portableRuntime, type SearchUser } from "../users/search-user.js";
import { duplicate, readDocuments, type SearchDocument, type Widened } from "./documents.js";
import {
  checkRequest,
  checkSearchOptions,
  type HitReference,
  type Learned,
  type PersonalHit,
  type PersonalSearchOptions,
  randomId,
  type SearchRequest,
} from "./options.js";
import { RecentSearches } from "./recent-searches.js";
import { addAll, checkIndex, type DocumentFilter, removeAll, type SearchIndex, vectorsOf } from "./search-index.js";

const DEFAULT_K = 10;
const DEFAULT_NAME = "default";

/** Feedback on a search that is not remembered: its text, and what was shown for it. */
export type SearchFeedback<Id extends DocumentId> = Deed<Id> & {
  readonly query: string;
  readonly user?: string;
  /** Tells this feedback from others: what comes a second time under one id is learned once. Random by default. */
  readonly id?: string;
};

interface Parts<Id extends DocumentId, Payload, Filter> {
  readonly embedder: CheckedEmbedder;
  readonly index: SearchIndex<Id, Payload, Filter>;
  readonly ownsIndex: boolean;
  readonly store: Store;
  readonly ownsStore: boolean;
  readonly pool: Pool<SearchUser>;
  readonly tenant: string;
  readonly remember: number;
  readonly newId: () => string;
}

/**
 * A search that learns from what each user clicks: an embedder, an index and the users, in one object.
 * @typeParam Id of the documents @typeParam Payload kept beside each document @typeParam Filter what `search` takes as a filter
 */
export class PersonalSearch<Id extends DocumentId = string, Payload = unknown, Filter = DocumentFilter<Id, Payload>> {
  readonly #parts: Parts<Id, Payload, Filter>;
  readonly #recent: RecentSearches<Id>;
  #closed = false;

  private constructor(parts: Parts<Id, Payload, Filter>) {
    this.#parts = parts;
    this.#recent = new RecentSearches(parts.remember);
  }

  /**
   * Embeds the documents, and opens the users.
   * @throws SearchError `invalid-argument`, `duplicate-document`, `wrong-embedding`, `unsupported-index`; what the embedder throws
   */
  static async create<Id extends DocumentId = string, Payload = unknown, Filter = DocumentFilter<Id, Payload>>(
    options: PersonalSearchOptions<Id, Payload, Filter>,
  ): Promise<PersonalSearch<Widened<Id>, Payload, Filter>> {
    checkSearchOptions(options);
    const { documents = [], tenant = DEFAULT_NAME, remember = 1000, newId = randomId } = options;
    userKey(tenant, DEFAULT_NAME);
    if (options.index !== undefined) checkIndex(options.index);
    const embedder = new CheckedEmbedder(options.embedder ?? (await ownEmbedder()));
    const entries = await readDocuments(documents, embedder);
    const width = entries[0]?.vector.length ?? (await embedder.dimensions());
    const { fingerprint } = embedder;
    const runtime = await portableRuntime();
    const told = { dimensions: width, ...(fingerprint !== undefined && { fingerprint }) };
    const index: SearchIndex<Id, Payload, Filter> =
      options.index ?? ((await EmbeddingIndex.create<Id, Payload>([], { embedder: told, runtime })) as never);
    await addAll(index, entries);
    const store = options.store ?? openMemoryStore();
    const { learning, memoryBytes, now } = options;
    const pool = await openUsers({ store, runtime, embedder: told, learning, memoryBytes, now });
    const owned = { ownsIndex: options.index === undefined, ownsStore: options.store === undefined };
    const parts = { embedder, index, store, pool, tenant, remember, newId, ...owned };
    return new PersonalSearch<Id, Payload, Filter>(parts) as unknown as PersonalSearch<Widened<Id>, Payload, Filter>;
  }

  /** The documents. */
  get index(): SearchIndex<Id, Payload, Filter> {
    return this.#parts.index;
  }

  /**
   * The documents that suit a text and a user best, best first. A text in which the embedder knows no word finds nothing.
   * @throws SearchError `invalid-argument`, `wrong-embedding`, `wrong-embedder`, `closed`; what embedder, index and store throw
   */
  async search(text: string, request: SearchRequest<Filter> = {}): Promise<PersonalHit<Id, Payload>[]> {
    const [hits] = await this.searchBatch([text], request);
    return hits!;
  }

  /** As `search` for each of many texts, which are embedded together. */
  async searchBatch(
    texts: readonly string[],
    request: SearchRequest<Filter> = {},
  ): Promise<PersonalHit<Id, Payload>[][]> {
    this.#checkOpen();
    checkRequest(request);
    if (!Array.isArray(texts)) refuse("texts", texts, "Pass a list of texts");
    const key = this.#keyOf(request.user);
    const queries = await this.#parts.embedder.embed(texts);
    const searches = texts.map((text, i) => {
      return { id: this.#parts.newId(), text, query: queries[i]!, isKnown: queries[i]!.some((each) => each !== 0) };
    });
    const found = await this.#with(key, (turn) =>
      searches.map(({ id, text, query, isKnown }) => {
        this.#recent.set(id, { key, text, query, shown: [] });
        return isKnown ? this.#find(turn.state.personalizer, query, request) : [];
      }),
    );
    const all = await Promise.all(found.map((each) => (typeof each === "function" ? each() : each)));
    return searches.map(({ id }, i) => {
      const hits = all[i]!.map((hit) => ({ ...hit, search: id }));
      this.#recent.found(
        id,
        hits.map((hit) => hit.id),
      );
      return hits;
    });
  }

  /**
   * Learns that a user chose this hit among those that were shown with it. A click on one hit counts once, however often it is told.
   * @throws SearchError `unknown-search`, `unknown-document` if it was removed since, `wrong-embedder`, `closed`; what the store throws
   */
  async click(hit: HitReference<Id>): Promise<Learned> {
    const { shown, place } = this.#shown(hit);
    return this.#take(hit.search, `click/${place}`, { kind: "click", chosen: hit.id, shown });
  }

  /** Learns that none of these hits, all of one search, was what the user wanted; it teaches a tenth of what a click does. @throws as `click` */
  async skip(hits: readonly HitReference<Id>[]): Promise<Learned> {
    if (!Array.isArray(hits) || hits.length === 0) refuse("hits", hits, "Pass the hits of a search");
    const { shown } = this.#shown(hits[0]!);
    return this.#take(hits[0]!.search, "skip", { kind: "skip", shown });
  }

  /** Learns how much a user likes a hit, from -1 to 1. @throws as `click` */
  async rate(hit: HitReference<Id>, rating: number): Promise<Learned> {
    checkRating(rating);
    const { place } = this.#shown(hit);
    return this.#take(hit.search, `rate/${place}/${rating}`, { kind: "rate", item: hit.id, rating });
  }

  /** Learns from a search that is not remembered: of a log, or of another process. Its text is embedded again. @throws as `click` */
  async learn(feedback: SearchFeedback<Id>): Promise<Learned> {
    this.#checkOpen();
    if (typeof feedback !== "object" || feedback === null) refuse("feedback", feedback, "Pass what the user did");
    const { query, user, id = this.#parts.newId(), ...deed } = feedback;
    checkDeed(deed as Deed<Id>);
    const key = this.#keyOf(user);
    const [vector] = await this.#parts.embedder.embed([query]);
    return this.#learn(key, id, query, vector!, deed as Deed<Id>);
  }

  /**
   * Adds documents, all or none.
   * @throws SearchError `duplicate-document`, `invalid-argument`, `wrong-embedding`, `unsupported-index`, `closed`
   */
  async add(documents: Iterable<SearchDocument<Id, Payload>>): Promise<void> {
    this.#checkOpen();
    const { embedder, index } = this.#parts;
    const entries = await readDocuments(documents, embedder);
    this.#checkOpen();
    if (index instanceof EmbeddingIndex) {
      const taken = entries.find(({ id }) => index.has(id));
      if (taken !== undefined) throw duplicate(taken.id);
      const wrong = entries.find(({ vector }) => index.dimensions !== 0 && vector.length !== index.dimensions);
      if (wrong !== undefined) {
        const problem = `is ${wrong.vector.length} wide, and ${index.dimensions} was expected`;
        throw new SearchError("wrong-embedding", "documents", problem, "Use the embedder of the search");
      }
    }
    await addAll(index, entries);
  }

  /** Removes documents. @returns how many were there @throws SearchError `unsupported-index`, `closed` */
  async remove(...ids: readonly Id[]): Promise<number> {
    this.#checkOpen();
    for (const id of ids) checkId(id, "id");
    return removeAll(this.#parts.index, ids);
  }

  /** Erases all that is known of a user, here and in the store. */
  async forget(user = DEFAULT_NAME): Promise<ErasureReceipt> {
    this.#checkOpen();
    const key = this.#keyOf(user);
    const receipt = await this.#parts.pool.erase(key);
    this.#recent.forget(key);
    return receipt;
  }

  /** All that was learned from a user, oldest first, in words and ids. */
  async export(user = DEFAULT_NAME): Promise<SearchEvent<Id>[]> {
    this.#checkOpen();
    const events: SearchEvent<Id>[] = [];
    for await (const { id, seq, time, source } of this.#parts.store.export(this.#keyOf(user))) {
      events.push({ id, seq, time, ...decodeHappening<Id>(source) });
    }
    return events;
  }

  /** Waits for what is under way, and keeps snapshots. A store and an index that were given stay open. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { pool, store, index, ownsStore, ownsIndex } = this.#parts;
    await pool.close();
    if (ownsStore) await store.close();
    if (ownsIndex && index instanceof EmbeddingIndex) index.close();
  }

  /** As `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Hits of an `EmbeddingIndex`; of another index, how to ask it once the turn is over. */
  #find(
    personalizer: Personalizer,
    query: Float32Array,
    { k = DEFAULT_K, filter }: SearchRequest<Filter>,
  ): readonly SearchHit<Id, Payload>[] | (() => ReturnType<SearchIndex<Id, Payload, Filter>["search"]>) {
    const { index } = this.#parts;
    const options = filter === undefined ? {} : { filter };
    if (index instanceof EmbeddingIndex) {
      return personalizer.search(query, index as EmbeddingIndex<Id, Payload>, k, options as object);
    }
    const moved = personalizer.transform(query);
    return () => index.search(moved, k, options);
  }

  /** What was shown with a hit, and its place there. @throws SearchError `unknown-search`, `unknown-document` */
  #shown(hit: HitReference<Id>): { readonly shown: readonly Id[]; readonly place: number } {
    this.#checkOpen();
    if (typeof hit !== "object" || hit === null) refuse("hit", hit, "Pass a hit of `search`");
    const { shown } = this.#recent.get(hit.search);
    const place = shown.indexOf(hit.id);
    if (place === -1) {
      checkId(hit.id, "hit.id");
      throw goneError(hit.id);
    }
    return { shown, place };
  }

  #take(search: string, what: string, deed: Deed<Id>): Promise<Learned> {
    const { key, text, query } = this.#recent.get(search);
    return this.#learn(key, `${search}/${what}`, text, query, deed);
  }

  async #learn(key: UserKey, id: string, query: string, vector: Float32Array, deed: Deed<Id>): Promise<Learned> {
    const feedback = await this.#feedback(vector, deed);
    const source = encodeHappening({ ...deed, query });
    const { status, version } = await this.#with(key, (turn) => {
      const { kind, payload } = turn.state.prepare(feedback);
      const { status } = turn.commit({ id, kind, payload, source, answer: "" });
      return { status, version: turn.version };
    });
    return { learned: status === "ok", version };
  }

  /** The feedback with the vectors of what is still there. @throws SearchError `unknown-document` */
  async #feedback(query: Float32Array, deed: Deed<Id>): Promise<Parameters<Personalizer["prepare"]>[0]> {
    const ids = deed.kind === "rate" ? [deed.item] : deed.shown;
    const { index } = this.#parts;
    const vectors = await vectorsOf(index, ids);
    const needed = deed.kind === "rate" ? deed.item : deed.kind === "click" ? deed.chosen : null;
    if (needed !== null && !vectors.has(needed)) throw goneError(needed);
    const items = [...vectors].map(([id, vector]) => ({ id, vector }));
    const itemOf = (id: Id) => ({ id, vector: vectors.get(id)! });
    const over = index instanceof EmbeddingIndex ? { index } : {};
    if (deed.kind === "rate") return { query, rating: deed.rating, item: itemOf(deed.item), ...over };
    const chosen = deed.kind === "click" ? items.find(({ id }) => id === deed.chosen)! : null;
    // A choice among one teaches nothing; without `shown`, others are drawn from the index.
    if (items.length === 1 && chosen !== null && index instanceof EmbeddingIndex) return { query, chosen, index };
    return { query, chosen, shown: items, ...over };
  }

  /** Runs a turn of a user. @throws SearchError `wrong-embedder` */
  async #with<Value>(key: UserKey, run: (turn: Turn<SearchUser>) => Value): Promise<Value> {
    try {
      return await this.#parts.pool.with(key, run);
    } catch (error) {
      const isOther = error instanceof StoreError && error.code === "replay-refused";
      if (!isOther || !(error.cause instanceof MicroLoraError) || error.cause.code !== "wrong-base") throw error;
      const problem = "was learned from with another embedder";
      const remedy = "Search with that one, or forget the user and `learn` again from what `export` gives";
      throw new SearchError("wrong-embedder", `user ${key.user}`, problem, remedy, { cause: error });
    }
  }

  #keyOf(user = DEFAULT_NAME): UserKey {
    return userKey(this.#parts.tenant, user);
  }

  #checkOpen(): void {
    if (this.#closed) throw new SearchError("closed", "search", "was closed", "Create another one");
  }
}

async function ownEmbedder() {
  const { loadEmbedder } = await import("@microlora/embed");
  return loadEmbedder();
}
