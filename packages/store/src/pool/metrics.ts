/** What a pool counts; all but the first three only grow. */
export interface PoolMetrics {
  /** Users in memory. */
  hotUsers: number;
  /** Their bytes. */
  hotBytes: number;
  /** Users who are in use right now. */
  pinnedUsers: number;
  /** Times that a user was read from the store. */
  loads: number;
  /** Events that were replayed by those reads. */
  replayedEvents: number;
  /** Events that were committed. */
  committedEvents: number;
  /** Users who were removed from memory. */
  evictions: number;
  /** Snapshots that were written. */
  snapshots: number;
  /** Snapshots that could not be written. */
  failedSnapshots: number;
  /** Turns that ran again, since an event was a duplicate or the store was ahead. */
  reruns: number;
}

export function noMetrics(): PoolMetrics {
  return {
    hotUsers: 0,
    hotBytes: 0,
    pinnedUsers: 0,
    loads: 0,
    replayedEvents: 0,
    committedEvents: 0,
    evictions: 0,
    snapshots: 0,
    failedSnapshots: 0,
    reruns: 0,
  };
}
