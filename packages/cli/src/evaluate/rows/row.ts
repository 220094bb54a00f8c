/** One row of a file: its values by column, or the reason for which it cannot be read. */
export type FileRow = {
  /** Line of the file, or row of a Parquet file, from 1. */
  readonly line: number;
} & (
  | { readonly record: Readonly<Record<string, unknown>>; readonly problem?: undefined }
  | { readonly record?: undefined; readonly problem: string }
);

/** The rows of a file, streamed. */
export interface RowSource {
  /** Names of the columns, in the file's order; those of the first records where each names its own. */
  readonly columns: readonly string[];
  /** "line", or "row" where a file has no lines. */
  readonly unit: "line" | "row";
  rows(): AsyncIterable<FileRow>;
}
