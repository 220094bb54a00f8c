/// <reference lib="esnext.disposable" preserve="true" />

export { SearchError, type SearchErrorCode } from "./base/errors.js";
export type { Awaitable, Embedder, EmbedText } from "./embedder/embedder.js";
export type { SearchDocument, Widened } from "./search/documents.js";
export type {
  HitReference,
  Learned,
  PersonalHit,
  PersonalSearchOptions,
  SearchRequest,
} from "./search/options.js";
export {
  PersonalQueries,
  type PersonalQueriesOptions,
  type QueryFeedback,
  type QueryNames,
  type Shown,
} from "./search/personal-queries.js";
export { PersonalSearch, type SearchFeedback } from "./search/personal-search.js";
export type { DocumentFilter, SearchIndex } from "./search/search-index.js";
export type { Deed, Happening, SearchEvent } from "./users/event.js";
export type { UserConfig } from "./users/search-user.js";
