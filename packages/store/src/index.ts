export { StoreError, type StoreErrorCode } from "./base/errors.js";
export { type TenantId, tenantId, type UserId, type UserKey, userKey } from "./contract/keys.js";
export type {
  AppendOutcome,
  Compacted,
  CompactOptions,
  Duplicate,
  ErasureReceipt,
  EventContent,
  LoadedUser,
  LoadOptions,
  NewEvent,
  Snapshot,
  Store,
  StoredEvent,
  UserPage,
  UserSummary,
} from "./contract/store.js";
export { type MemoryPlaces, type MemoryStoreOptions, openMemoryStore } from "./memory/memory-store.js";
export {
  PERSONAL_KINDS,
  PERSONAL_VERSION,
  type PersonalChange,
  type PersonalKind,
  PersonalUser,
  type PersonalUserConfig,
  personalUsers,
} from "./personal/personal-user.js";
export type { Folded } from "./pool/fold.js";
export type { PoolMetrics } from "./pool/metrics.js";
export { openPool, type Pool, type PoolOptions, type TurnOptions } from "./pool/pool.js";
export type { CreateState, Step, UserState } from "./pool/state.js";
export type { Committed, Turn, TurnEvent } from "./pool/turn.js";
