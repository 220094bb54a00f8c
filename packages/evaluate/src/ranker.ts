import type { Matrix } from "./matrix.js";

/** The items of a problem, with their vectors and names. All people share them. */
export interface Task {
  /** Unit vectors, a row for each item. */
  readonly items: Matrix;
  /** How often people other than those measured chose each item; the mean rating where choices are ratings. */
  readonly popularity: Float64Array;
  /** Whether choices are ratings. */
  readonly rated: boolean;
  /** Whether an index of all items exists; otherwise there are only the candidates of each choice. */
  readonly indexed: boolean;
}

/** Ranks for one person, and learns from each choice. */
export interface Ranker {
  /**
   * How well items fit a query. Nothing is learned.
   * @param query unit vector
   * @param items rows
   * @returns a score for each, the best one highest
   */
  scores(query: Float32Array, items: Int32Array): Float64Array;
  /**
   * Learns from one choice.
   * @param shown rows that there were to choose from
   * @param chosen the chosen or rated item, -1 where nothing was clicked
   * @param rating in [-1, 1], where choices are ratings
   */
  learn(query: Float32Array, shown: Int32Array, chosen: number, rating?: number): void;
  /** Size of the person's state as it is saved, where the ranker knows it. */
  bytes?(): number;
  /** Frees what the ranker holds. */
  close(): void;
}

/** Makes a ranker for one person, who has learned nothing. */
export type MakeRanker = () => Ranker;
