/** What merging did that its user should know, one sentence each. */
export interface MergeReport {
  /** What the caller should know, in sentences. */
  readonly warnings: readonly string[];
}
