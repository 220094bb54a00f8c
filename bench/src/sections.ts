import type { Placing } from "./race.js";

/** The contender that is ours at rank 2, as often as it goes into the rank. */
export const IN_TWOS = "as many ranks in twos";

/** One race: a job, and how everybody did. Ours is the first placing. */
export interface Cell {
  readonly job: string;
  readonly placings: readonly Placing[];
}

/** Races of one kind, and how the report shows them. */
export interface Section {
  readonly title: string;
  readonly explanation: string;
  /** Others as columns of one table, or a row for each that a job was raced against. */
  readonly layout: "columns" | "rows";
  readonly cells: readonly Cell[];
}
