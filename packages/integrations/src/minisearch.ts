import type { Learned, PersonalQueries } from "@microlora/search";
import { MicroLoraError, type Vector } from "microlora";

/** The part of a `MiniSearch` that is used here; other keyword engines with ids and scores fit too. */
export interface KeywordEngine<Found extends KeywordHit> {
  /** What a keyword search finds, the best first. */
  search(text: string): readonly Found[];
}

/** A result of a keyword search, the best first. */
export interface KeywordHit {
  /** The document's id. */
  // biome-ignore lint/suspicious/noExplicitAny: MiniSearch types ids so.
  readonly id: any;
  /** The engine's own score. */
  readonly score: number;
}

/** Options of the keyword search. */
export interface KeywordOptions<Found extends KeywordHit> {
  /** The keyword engine. */
  readonly engine: KeywordEngine<Found>;
  /** The users' queries. */
  readonly queries: PersonalQueries;
  /** The embedding of a query. */
  readonly embed: (text: string) => Vector | Promise<Vector>;
  /** The embedding of a document; documents without one keep out of the ranking, behind those that are in it. */
  readonly vectorOf: (id: Found["id"]) => Vector | undefined;
  /** Results of the keyword search that are ranked; 100 by default. */
  readonly candidates?: number;
}

/** Results of a keyword search as one user wants them. */
export interface RankedHits<Found> {
  /** The best first. */
  readonly hits: readonly Found[];
  /**
   * Learns that a hit was chosen among the first `shown`, 10 by default.
   * @throws MicroLoraError `unknown-document` for a hit that was not ranked
   */
  click(hit: Found, shown?: number): Promise<Learned>;
}

/** What a user sees at once, where nobody says so. */
const SHOWN = 10;

/**
 * A keyword search whose results are ranked for each user by meaning, by what was learned, and by the keyword scores, whose weight is
 * learned: `personalKeywords(options)(text, user)`.
 */
export function personalKeywords<Found extends KeywordHit>({
  engine,
  queries,
  embed,
  vectorOf,
  candidates = 100,
}: KeywordOptions<Found>): (text: string, user?: string) => Promise<RankedHits<Found>> {
  return async (text, user) => {
    const found = engine.search(text);
    const items = found.slice(0, candidates).flatMap((hit) => {
      const vector = vectorOf(hit.id);
      return vector === undefined ? [] : [{ id: hit.id, vector, hit }];
    });
    const scores = items.map(({ hit }) => hit.score);
    const query = await embed(text);
    const { id, ranked } = await queries.rank(query, items, { text, scores, ...(user !== undefined && { user }) });
    const order = ranked.map(({ item }) => item);
    const first = order.map(({ hit }) => hit);
    const isRanked = new Set(first);
    return {
      hits: [...first, ...found.filter((hit) => !isRanked.has(hit))],
      async click(hit, count = SHOWN) {
        const place = first.indexOf(hit);
        if (place === -1) throw refuse(hit);
        const shown = order.slice(0, Math.max(count, place + 1));
        return queries.learn(id, { chosen: shown[place]!, shown, scores: shown.map((each) => each.hit.score) });
      },
    };
  };
}

function refuse(hit: KeywordHit | undefined): MicroLoraError {
  const remedy = "Pass a hit of this search whose document has a vector";
  return new MicroLoraError("unknown-document", `hit ${String(hit?.id)}`, "was not ranked", remedy);
}
