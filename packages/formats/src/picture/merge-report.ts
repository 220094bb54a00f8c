/** What merging did that its user should know, one sentence each. */
export interface MergeReport {
  readonly warnings: readonly string[];
}
