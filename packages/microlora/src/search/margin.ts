/** What the cosines of a query with all documents of an index say of it. */
export interface QueryShape<Id> {
  /** Number of documents. */
  readonly size: number;
  /** Sum of the cosines. */
  readonly sum: number;
  /** The largest cosines, the largest first: ten, and one more for each document that equals the query. */
  readonly top: readonly number[];
  /** The documents that equal the query: they say nothing of it where they are no candidates. */
  readonly equal: readonly Id[];
}

/** How clearly a query stands out, and how clearly the documents of its index do. */
export interface Margin {
  readonly ofQuery: number;
  readonly ofIndex: number;
}

/** Cosine from which a document counts as equal to the query. */
export const EQUAL = 0.9999;

/** The place whose score the first one is compared with. */
export const TENTH = 10;

/** Quantile of the margins of an index's own documents. */
const QUANTILE = 0.05;

/** The gate closes over this share of the index's margin, and opens by this share more where recall is sure. */
const GATE_WIDTH = 0.4;
const GATE_SHARE = 0.3;

/**
 * (s_1 - s_10) / (s_1 - mean s): how far the first document stands out from the tenth, in terms of how far it does from all. A query that
 * names something has a large one, a query that leaves much open a small one.
 * @param excluded number of equal documents that do not count
 */
export function marginOf({ size, sum, top }: QueryShape<unknown>, excluded: number): number {
  const first = top[excluded];
  if (first === undefined) return 0;
  let rest = sum;
  for (let k = 0; k < excluded; k++) rest -= top[k]!;
  const tenth = top[Math.min(excluded + TENTH, top.length) - 1]!;
  const mean = rest / (size - excluded);
  return (first - tenth) / Math.max(first - mean, 1e-9);
}

/** The margin that all but a few documents of an index exceed as queries. @param margins of some of them */
export function quantileOf(margins: number[]): number {
  margins.sort((a, b) => a - b);
  return margins[Math.floor(QUANTILE * (margins.length - 1))] ?? 0;
}

/**
 * How much of what is general is let through: all of it where the query leaves open what is meant, nothing where it names something.
 * @param share of recall's routing, by which the gate opens further
 */
export function gateOf({ ofQuery, ofIndex }: Margin, share: number): number {
  if (ofIndex === 0) return 0;
  const open = (ofIndex * (1 + GATE_SHARE * share) - ofQuery) / (GATE_WIDTH * ofIndex);
  return Math.min(1, Math.max(0, open));
}
