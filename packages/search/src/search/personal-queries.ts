import { type ErasureReceipt, openMemoryStore, type Pool, type Store, type UserKey, userKey } from "@microlora/store";
import type { DocumentId, PersonalFeedback, Ranked, Vector } from "microlora";
import { checkOptions, refuse, SearchError, shown } from "../base/errors.js";
import { floatsOf } from "../embedder/embedder.js";
import { openUsers, portableRuntime, type SearchUser, type UserConfig } from "../users/search-user.js";
import { type Learned, randomId } from "./options.js";

/** Options of `PersonalQueries.create`. */
export interface PersonalQueriesOptions {
  /** Width of the embeddings. */
  readonly dimensions: number;
  /** A text that differs between embedding models, such as the name of the model. */
  readonly fingerprint?: string;
  /** Where what was learned is kept; by default in memory, which ends with the process. The caller closes it. */
  readonly store?: Store;
  /** Keeps the users of several models apart in one store; `default` by default. */
  readonly tenant?: string;
  /** How users learn. */
  readonly learning?: UserConfig;
  /** Queries that feedback may still come for; 1,000 by default. */
  readonly remember?: number;
  /** Bytes that users in memory may take; 64 MiB by default. */
  readonly memoryBytes?: number;
}

/** Whose query it is, and its names. */
export interface QueryNames {
  /** `default` by default. */
  readonly user?: string;
  /** The id under which feedback will come; random by default. */
  readonly id?: string;
  /** The words of the query, for `export`. */
  readonly text?: string;
}

/** A document of feedback: its embedding, and its id if single documents are to be learned of. */
export type Shown = Vector | { readonly id: DocumentId; readonly vector: Vector };

/** What became of a query. */
export type QueryFeedback =
  | { readonly chosen: Shown | null; readonly shown: readonly Shown[]; readonly scores?: readonly number[] }
  | { readonly item: Shown; readonly rating: number };

interface Kept {
  readonly key: UserKey;
  readonly text: string;
  readonly query: Float32Array;
}

const OPTIONS = Object.keys({
  dimensions: 0,
  fingerprint: 0,
  store: 0,
  tenant: 0,
  learning: 0,
  remember: 0,
  memoryBytes: 0,
} satisfies { readonly [Name in keyof Required<PersonalQueriesOptions>]: 0 });

/**
 * Personal embeddings of queries where documents are elsewhere: a hosted embedding API, a vector database, a keyword engine. Documents stay
 * as they are; a query is moved to what its user means by it, and its raw embedding is kept by id until feedback comes.
 */
export class PersonalQueries {
  /** Width of the embeddings. */
  readonly dimensions: number;
  readonly #pool: Pool<SearchUser>;
  readonly #store: Store;
  readonly #ownsStore: boolean;
  readonly #tenant: string;
  readonly #remember: number;
  readonly #kept = new Map<string, Kept>();

  private constructor(options: PersonalQueriesOptions, pool: Pool<SearchUser>, store: Store) {
    this.dimensions = options.dimensions;
    this.#pool = pool;
    this.#store = store;
    this.#ownsStore = options.store === undefined;
    this.#tenant = options.tenant ?? "default";
    this.#remember = options.remember ?? 1000;
  }

  /**
   * Makes the personal queries of a service, whose users live in one store.
   * @throws SearchError `invalid-argument`; MicroLoraError `invalid-config` for a width or a setting that cannot be
   */
  static async create(options: PersonalQueriesOptions): Promise<PersonalQueries> {
    checkOptions(options, OPTIONS, "options");
    const { dimensions, fingerprint, store = openMemoryStore(), learning, memoryBytes, tenant, remember } = options;
    if (tenant !== undefined) userKey(tenant, "default");
    if (remember !== undefined && !(Number.isInteger(remember) && remember >= 1)) {
      refuse("options.remember", remember, "Pass a whole number from 1");
    }
    const embedder = { dimensions, ...(fingerprint !== undefined && { fingerprint }) };
    const runtime = await portableRuntime();
    const pool = await openUsers({ store, runtime, embedder, learning, memoryBytes });
    return new PersonalQueries(options, pool, store);
  }

  /**
   * The query as its user means it, as long as it was.
   * @param query its embedding [dimensions], `number[]` or `Float32Array`
   * @throws SearchError `wrong-embedding`; what the store throws
   */
  async transform(
    query: Vector,
    names: QueryNames = {},
  ): Promise<{ readonly id: string; readonly vector: Float32Array }> {
    const { id, kept } = this.#keep(query, names);
    const vector = await this.#pool.with(kept.key, ({ state }) => state.personalizer.transform(kept.query));
    return { id, vector };
  }

  /**
   * Candidates that came from elsewhere, such as a keyword search, the best first for this user.
   * @param scores of that search, one for each candidate; how much they count is learned
   * @throws SearchError `wrong-embedding`; MicroLoraError `shape-mismatch`; what the store throws
   */
  async rank<Candidate extends Shown>(
    query: Vector,
    candidates: readonly Candidate[],
    { scores, ...names }: QueryNames & { readonly scores?: readonly number[] } = {},
  ): Promise<{ readonly id: string; readonly ranked: Ranked<Candidate>[] }> {
    const { id, kept } = this.#keep(query, names);
    const options = scores === undefined ? {} : { scores };
    const ranked = await this.#pool.with(kept.key, ({ state }) =>
      state.personalizer.rank(kept.query, candidates as readonly never[], options),
    );
    return { id, ranked };
  }

  /**
   * Learns what became of a query. The same feedback for one id counts once.
   * @throws SearchError `unknown-search`; MicroLoraError `not-shown`, `shape-mismatch`, `nothing-to-learn-from`; what the store throws
   */
  async learn(id: string, feedback: QueryFeedback): Promise<Learned> {
    const kept = this.#kept.get(id);
    if (kept === undefined) {
      const remedy = "Give feedback for one of the last queries of this process";
      throw new SearchError("unknown-search", "id", `${shown(id)} is not remembered`, remedy);
    }
    if (typeof feedback !== "object" || feedback === null) refuse("feedback", feedback, "Pass { chosen, shown }");
    const { key, text, query } = kept;
    const source = new TextEncoder().encode(JSON.stringify({ query: text, ...namesOf(feedback) }));
    const event = `${id}/${"rating" in feedback ? `rate ${feedback.rating}` : "choose"}/${digest(feedback)}`;
    const whole = { query, ...feedback } as PersonalFeedback;
    const { status, version } = await this.#pool.with(key, (turn) => {
      const { kind, payload } = turn.state.prepare(whole);
      const { status } = turn.commit({ id: event, kind, payload, source, answer: "" });
      return { status, version: turn.version };
    });
    return { learned: status === "ok", version };
  }

  /** Erases all that is known of a user, here and in the store. */
  async forget(user = "default"): Promise<ErasureReceipt> {
    const key = userKey(this.#tenant, user);
    const receipt = await this.#pool.erase(key);
    for (const [id, kept] of this.#kept) if (kept.key.user === key.user) this.#kept.delete(id);
    return receipt;
  }

  /** All that was learned from a user, oldest first: the words of each query, and ids where documents had some. */
  async export(user = "default"): Promise<{ readonly seq: number; readonly time: number; readonly query: string }[]> {
    const events = [];
    for await (const { seq, time, source } of this.#store.export(userKey(this.#tenant, user))) {
      events.push({ seq, time, ...JSON.parse(new TextDecoder().decode(source)) });
    }
    return events;
  }

  /** Waits for what is under way, and keeps snapshots. A store that was given stays open. */
  async close(): Promise<void> {
    await this.#pool.close();
    if (this.#ownsStore) await this.#store.close();
  }

  #keep(vector: Vector, { user = "default", id = randomId(), text = "" }: QueryNames) {
    const query = floatsOf(vector);
    if (query?.length !== this.dimensions || !query.every(Number.isFinite)) {
      const problem = query === undefined ? `is ${shown(vector)}` : `is ${query.length} wide, or not finite`;
      throw new SearchError("wrong-embedding", "query", problem, `Pass ${this.dimensions} finite numbers`);
    }
    if (typeof id !== "string" || id === "" || id.length > 128) {
      refuse("id", id, "Pass a text of 1 to 128 characters");
    }
    if (typeof text !== "string") refuse("text", text, "Pass a string");
    const kept = { key: userKey(this.#tenant, user), text, query };
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    if (this.#kept.size > this.#remember) this.#kept.delete(this.#kept.keys().next().value!);
    return { id, kept };
  }
}

/** The parts of feedback that mean something to a person. */
function namesOf(feedback: QueryFeedback): object {
  if ("rating" in feedback) return { item: nameOf(feedback.item), rating: feedback.rating };
  const { chosen, shown } = feedback;
  return { chosen: chosen === null ? null : nameOf(chosen), shown: Array.isArray(shown) ? shown.map(nameOf) : [] };
}

function nameOf(document: Shown): string | number | null {
  if (typeof document !== "object" || document === null || !("id" in document)) return null;
  return typeof document.id === "bigint" ? String(document.id) : document.id;
}

/** Tells two choices among what one query showed apart: FNV-1a of the chosen document. */
function digest(feedback: QueryFeedback): string {
  const document = "rating" in feedback ? feedback.item : feedback.chosen;
  if (document === null || document === undefined) return "none";
  const vector = "vector" in document ? document.vector : document;
  let hash = 2166136261;
  for (const unit of `${nameOf(document)} ${Array.from(vector as ArrayLike<number>).join()}`) {
    hash = Math.imul(hash ^ unit.codePointAt(0)!, 16777619);
  }
  return (hash >>> 0).toString(16);
}
