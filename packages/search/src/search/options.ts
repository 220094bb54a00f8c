import type { Store } from "@microlora/store";
import type { DocumentId, SearchHit } from "microlora";
import { checkOptions, refuse } from "../base/errors.js";
import type { Embedder, EmbedText } from "../embedder/embedder.js";
import type { UserConfig } from "../users/search-user.js";
import type { SearchDocument } from "./documents.js";
import type { SearchIndex } from "./search-index.js";

/** Options of `PersonalSearch.create`. */
export interface PersonalSearchOptions<Id extends DocumentId, Payload, Filter> {
  /** What is searched; none by default. */
  readonly documents?: Iterable<SearchDocument<Id, Payload>>;
  /** Turns texts into vectors; that of `@microlora/embed` by default, which runs everywhere and calls nobody. */
  readonly embedder?: Embedder | EmbedText;
  /** Where what was learned is kept; by default in memory, which ends with the process. The caller closes it. */
  readonly store?: Store;
  /** Where documents are; a new `EmbeddingIndex` by default. One that is given is closed by the caller. */
  readonly index?: SearchIndex<Id, Payload, Filter>;
  /** Keeps the users of several searches apart in one store; `default` by default. */
  readonly tenant?: string;
  /** How users learn. Who has a snapshot in the store keeps the settings that it was made with. */
  readonly learning?: UserConfig;
  /** Searches that may still be clicked on; 1,000 by default. Each takes about a kilobyte and a half. */
  readonly remember?: number;
  /** Bytes that users in memory may take; 64 MiB by default. Others are read from the store when they come. */
  readonly memoryBytes?: number;
  /** The time in milliseconds since 1970, for the log; `Date.now` by default. */
  readonly now?: () => number;
  /** Makes an id that nobody else makes; random by default. */
  readonly newId?: () => string;
}

/** How one search is done. */
export interface SearchRequest<Filter> {
  /** Whose search it is; `default` by default, which is right where there is one user. */
  readonly user?: string;
  /** Documents to find; 10 by default. */
  readonly k?: number;
  /** Which documents count: a function of id and payload, or what your own index takes. */
  readonly filter?: Filter;
}

/** A document that was found, and the search that found it. It may go to a client as JSON, and come back for `click`. */
export interface PersonalHit<Id extends DocumentId = DocumentId, Payload = unknown> extends SearchHit<Id, Payload> {
  /** The id of the search. */
  readonly search: string;
}

/** What tells a hit: the two parts of it that `click` and `rate` need. */
export type HitReference<Id extends DocumentId> = Pick<PersonalHit<Id>, "search" | "id">;

/** What became of a click. */
export interface Learned {
  /** False if it was learned before: a click on one hit counts once. */
  readonly learned: boolean;
  /** The number of events in the user's log with this one. */
  readonly version: number;
}

const NAMES = Object.keys({
  documents: 0,
  embedder: 0,
  store: 0,
  index: 0,
  tenant: 0,
  learning: 0,
  remember: 0,
  memoryBytes: 0,
  now: 0,
  newId: 0,
} satisfies { readonly [Name in keyof Required<PersonalSearchOptions<DocumentId, unknown, unknown>>]: 0 });
const REQUEST_NAMES: readonly (keyof SearchRequest<unknown>)[] = ["user", "k", "filter"];

/** @throws SearchError `invalid-argument` */
export function checkSearchOptions<Id extends DocumentId, Payload, Filter>(
  options: PersonalSearchOptions<Id, Payload, Filter>,
): void {
  checkOptions(options, NAMES, "options");
  const { remember, now, newId, store } = options;
  if (remember !== undefined && !(Number.isInteger(remember) && remember >= 1)) {
    refuse("options.remember", remember, "Pass a whole number from 1");
  }
  for (const [name, value] of Object.entries({ now, newId })) {
    if (value !== undefined && typeof value !== "function") refuse(`options.${name}`, value, "Pass a function");
  }
  if (store !== undefined && typeof store?.append !== "function") {
    refuse("options.store", store, "Pass a store, such as `await openIndexedDbStore(name)`");
  }
}

/** @throws SearchError `invalid-argument` */
export function checkRequest(request: SearchRequest<unknown>): void {
  checkOptions(request, REQUEST_NAMES, "request");
  const { user, k } = request;
  if (user !== undefined && typeof user !== "string") refuse("request.user", user, "Pass the name of a user");
  if (k !== undefined && !(Number.isInteger(k) && k >= 1)) refuse("request.k", k, "Pass a whole number from 1");
}

/** 128 random bits. `crypto.randomUUID` is missing in pages of plain http. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
