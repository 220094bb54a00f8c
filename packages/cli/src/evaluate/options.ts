import type { Columns, DocumentRole, LogRole } from "./columns.js";

/** What is evaluated, and how. */
export interface EvaluateOptions {
  readonly log: string;
  /** null where documents are what the log names. */
  readonly documents: string | null;
  readonly format: string | null;
  readonly columns: Columns<LogRole>;
  readonly documentColumns: Columns<DocumentRole>;
  /** A folder with a sentence embedder in ONNX; null for the embedder of `@microlora/embed`. */
  readonly model: string | null;
  /** Ratings from this on are choices; null for ratings as they are. */
  readonly liked: number | null;
  /** What stands for the query where the log has none: the mean of the documents, or the document chosen last. */
  readonly query: "mean" | "last" | null;
  /** Documents to choose from where the log does not say what was shown; null for all of them. */
  readonly candidates: number | null;
  /** Users that are reported on, at most. */
  readonly users: number;
  /** Events that a user must have. */
  readonly leastEvents: number;
  /** Documents that are searched, at most. */
  readonly mostDocuments: number;
  /** Largest weight by inverse propensity. */
  readonly clip: number;
}

/** Users that are tuned on, at most. */
export const TUNE_USERS = 40;

/** Users with enough events that there must be. */
export const LEAST_USERS = 20;
