import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { logColumns } from "./columns.js";
import { Documents, decodeVector, encodeVector, readDocuments } from "./documents.js";
import { EvaluateError } from "./evaluate-error.js";
import { EventReader, isProblem, type LogEvent } from "./event.js";
import { type MistakeReport, Mistakes } from "./mistakes.js";
import { type EvaluateOptions, LEAST_USERS, TUNE_USERS } from "./options.js";
import { openRows } from "./rows/open.js";
import { hashOf, Spool, type SpooledEvent } from "./spool.js";

/** One choice of a chosen user, as a file keeps it. */
export interface KeptChoice {
  readonly query: string | Float32Array | null;
  readonly shown: readonly number[] | null;
  /** -1 where nothing was chosen. */
  readonly chosen: number;
  readonly rating: number | null;
  readonly propensity: number | null;
  readonly topic: string | null;
}

/** A user who is tuned or reported on; the choices are in a file. */
export interface KeptPerson {
  readonly user: string;
  readonly path: string;
}

/** What is known of a log after it was read once. */
export interface Prepared {
  readonly documents: Documents;
  /** Lowest and highest rating; null where choices are not ratings. */
  readonly ratings: { readonly low: number; readonly high: number } | null;
  readonly tune: readonly KeptPerson[];
  readonly test: readonly KeptPerson[];
  /** Documents that these users saw, by row. */
  readonly seen: Uint8Array;
  /** Of the other users: how often each document was chosen, or the mean of its ratings. */
  readonly popularity: Float64Array;
  readonly facts: LogFacts;
}

/** What a report says of a log. */
export interface LogFacts {
  readonly rows: number;
  /** Events that can be replayed. */
  readonly events: number;
  readonly users: number;
  /** Users with enough events. */
  readonly usersWithEnough: number;
  readonly documents: number;
  readonly hasTime: boolean;
  readonly hasQuery: boolean;
  readonly hasShown: boolean;
  readonly hasPropensity: boolean;
  /** Rows that were there twice, which count once. */
  readonly repeated: number;
  /** Rows below `--liked`. */
  readonly notLiked: number;
  readonly mistakes: MistakeReport;
  readonly documentMistakes: MistakeReport | null;
}

/** Bytes of a log that are one part of the spool; a packed or binary file holds more events in a byte. */
const PART = 24e6;
const PACKED = 6;
const MOST_PARTS = 250;

/** Told how far the reading is. */
export type OnStep = (step: string, share: number) => void;

/**
 * Reads a log and its documents, and splits its users: 20 % whose choices make popularity, 30 % to tune on (40 at most), the others to report on.
 * @param folder an empty folder for what does not fit into memory
 * @throws EvaluateError
 */
export async function prepare(options: EvaluateOptions, folder: string, onStep: OnStep): Promise<Prepared> {
  mkdirSync(folder, { recursive: true });
  const documents = new Documents(join(folder, "documents.jsonl"));
  const documentMistakes =
    options.documents === null
      ? null
      : await readDocuments(options.documents, options, documents, (share) => onStep("Reading the documents", share));
  const source = await openRows(options.log, options.format ?? undefined, (share) => onStep("Reading the log", share));
  const columns = logColumns(options.log, source.columns, options.columns);
  const reader = new EventReader(columns, documents, options.documents === null, options);
  if (options.liked !== null && columns.rating === undefined) {
    const remedy = "Name the column: --columns rating=COLUMN, or leave --liked out";
    throw new EvaluateError("missing-column", options.log, "has no column that is known to be a rating", remedy);
  }
  const spool = new Spool(join(folder, "events"), partsOf(options.log));
  const mistakes = new Mistakes(source.unit);
  let rows = 0;
  let events = 0;
  let notLiked = 0;
  const ratings = { low: Number.POSITIVE_INFINITY, high: Number.NEGATIVE_INFINITY };
  for await (const { line, record, problem } of source.rows()) {
    rows++;
    const event = record === undefined ? { problem } : reader.read(record);
    if (event === null) notLiked++;
    else if (isProblem(event)) mistakes.add(line, event.problem, event.found);
    else {
      events++;
      ratings.low = Math.min(ratings.low, event.rating ?? ratings.low);
      ratings.high = Math.max(ratings.high, event.rating ?? ratings.high);
      spool.add(line, event);
    }
  }
  spool.close();
  documents.close();
  if (events === 0) throw noGoodRows(options, rows, notLiked, mistakes);
  if (reader.isRated && ratings.low === ratings.high) {
    const problem = `has no rating but ${ratings.low}, so that nothing can be told apart`;
    const remedy = `Pass --liked ${ratings.low} to take each rated document as chosen`;
    throw new EvaluateError("no-good-rows", options.log, problem, remedy);
  }
  const split = splitUsers(spool.counts, options);
  const chosen = chooseUsers(spool, split, documents.size, folder, (share) => onStep("Sorting by user", share));
  rmSync(join(folder, "events"), { recursive: true });
  const { repeated, hasShown, ...people } = chosen;
  return {
    documents,
    ratings: reader.isRated ? ratings : null,
    ...people,
    facts: {
      rows,
      events,
      users: spool.counts.size,
      usersWithEnough: split.size,
      documents: documents.size,
      hasTime: columns.time !== undefined,
      hasQuery: columns.query !== undefined,
      hasShown,
      hasPropensity: columns.propensity !== undefined,
      repeated,
      notLiked,
      mistakes: mistakes.report(),
      documentMistakes: documentMistakes?.report() ?? null,
    },
  };
}

function partsOf(path: string): number {
  const { size } = statSync(path);
  const bytes = /\.(gz|parquet)$/i.test(path) ? PACKED * size : size;
  return Math.min(MOST_PARTS, Math.ceil(bytes / PART) || 1);
}

type Split = "train" | "tune" | "test";

/** The split of the users with enough events, by the order of their hashes. @throws EvaluateError `too-few-users` */
export function splitUsers(
  counts: ReadonlyMap<string, number>,
  { log, leastEvents, users }: Pick<EvaluateOptions, "log" | "leastEvents" | "users">,
): ReadonlyMap<string, Split> {
  const enough = [...counts].filter(([, count]) => count >= leastEvents).map(([user]) => user);
  if (enough.length < LEAST_USERS) throw tooFewUsers(counts, enough.length, log, leastEvents);
  const sorted = enough
    .map((user) => [hashOf(user), user] as const)
    .sort(([a, u], [b, v]) => a - b || (u < v ? -1 : 1));
  const tune = Math.min(TUNE_USERS, Math.floor(0.3 * sorted.length));
  const test = Math.min(users, sorted.length - tune - Math.floor(0.2 * sorted.length));
  return new Map(sorted.map(([, user], i) => [user, i < test ? "test" : i < test + tune ? "tune" : "train"]));
}

function tooFewUsers(counts: ReadonlyMap<string, number>, enough: number, log: string, least: number): EvaluateError {
  const sorted = [...counts.values()].sort((a, b) => b - a);
  // The number of events that enough users have.
  const possible = sorted[LEAST_USERS - 1] ?? 0;
  const problem = `has ${enough} ${enough === 1 ? "user" : "users"} with ${least} events or more, and ${LEAST_USERS} are needed`;
  const remedy =
    possible >= 5
      ? `Pass --least-events ${possible}, which ${sorted.filter((count) => count >= possible).length} users have`
      : "Log for longer, or for more users";
  return new EvaluateError("too-few-users", log, problem, remedy);
}

function noGoodRows({ log }: EvaluateOptions, rows: number, notLiked: number, mistakes: Mistakes): EvaluateError {
  if (rows === 0) return new EvaluateError("no-good-rows", log, "has no rows", "Pass a file with a row for each event");
  if (notLiked === rows) {
    return new EvaluateError("no-good-rows", log, "has no rating as high as --liked", "Pass a lower --liked");
  }
  const problem = `has ${rows} rows, none of which can be replayed: ${mistakes.first()}`;
  return new EvaluateError("no-good-rows", log, problem, "Correct the rows, or name the columns by --columns");
}

/** Takes the events of the users who are tuned and reported on out of the spool; those of all others make popularity. */
function chooseUsers(
  spool: Spool,
  split: ReadonlyMap<string, Split>,
  documents: number,
  folder: string,
  onShare: (share: number) => void,
) {
  const popularity = new Popularity(documents);
  const seen = new Uint8Array(documents);
  const kept = { tune: [] as KeptPerson[], test: [] as KeptPerson[] };
  let repeated = 0;
  let hasShown = false;
  let done = 0;
  for (const [user, all] of spool.users()) {
    if (++done % 1000 === 0) onShare(done / spool.counts.size);
    const events = distinct(all);
    repeated += all.length - events.length;
    const place = split.get(user) ?? "train";
    if (place === "train") {
      for (const event of events) popularity.add(event);
      continue;
    }
    const choices = events.flatMap(choicesOf);
    for (const { shown, chosen } of choices) {
      hasShown ||= shown !== null;
      if (chosen >= 0) seen[chosen] = 1;
      for (const row of shown ?? []) seen[row] = 1;
    }
    if (choices.length < LEAST_CHOICES) continue;
    const path = join(folder, `${place}-${kept[place].length}.jsonl`);
    writeFileSync(path, choices.map(lineOf).join("\n"));
    kept[place].push({ user, path });
  }
  const byHash = (a: KeptPerson, b: KeptPerson) => hashOf(a.user) - hashOf(b.user) || (a.user < b.user ? -1 : 1);
  return {
    tune: kept.tune.sort(byHash),
    test: kept.test.sort(byHash),
    seen,
    popularity: popularity.values(),
    repeated,
    hasShown,
  };
}

/** Without those that are there twice, a user may have fewer than were counted; with fewer than this nothing is held out. */
const LEAST_CHOICES = 5;

function lineOf({ query, ...choice }: KeptChoice): string {
  return JSON.stringify({ ...choice, query: query instanceof Float32Array ? { vector: encodeVector(query) } : query });
}

/** The choices of a user in the order of time. */
export function readChoices(path: string): KeptChoice[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .map((line) => {
      const { query, ...choice } = JSON.parse(line);
      const isVector = typeof query === "object" && query !== null;
      return { ...choice, query: isVector ? decodeVector(query.vector) : query };
    });
}

/** Ratings that a document is given beside its own, at the mean of all. */
const PRIOR_RATINGS = 5;

/** How often documents were chosen, or the mean of their ratings, shrunk to the mean of all. */
class Popularity {
  readonly #counts: Float64Array;
  readonly #sums: Float64Array;
  #isRated = false;

  constructor(documents: number) {
    this.#counts = new Float64Array(documents);
    this.#sums = new Float64Array(documents);
  }

  add({ chosen, rating }: LogEvent): void {
    for (const row of chosen) {
      this.#counts[row]!++;
      this.#sums[row]! += rating ?? 0;
    }
    this.#isRated ||= rating !== null;
  }

  values(): Float64Array {
    if (!this.#isRated) return this.#counts;
    const total = (values: Float64Array) => values.reduce((a, b) => a + b, 0);
    const all = total(this.#sums) / Math.max(1, total(this.#counts));
    return this.#sums.map((sum, i) => (sum + PRIOR_RATINGS * all) / (this.#counts[i]! + PRIOR_RATINGS));
  }
}

/** Events without those that are there twice: logs that are delivered at least once have some. Without times nobody can tell. */
function distinct(events: readonly SpooledEvent[]): readonly SpooledEvent[] {
  const seen = new Set<string>();
  return events.filter(({ line: _, query, ...event }) => {
    if (event.time === null) return true;
    const key = JSON.stringify([event, query instanceof Float32Array ? [...query] : query]);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** A choice for each thing that was chosen, among what was not; one of nothing where nothing was. */
function choicesOf({ query, shown, chosen, rating, propensity, topic }: LogEvent): KeptChoice[] {
  const common = { query, rating, propensity, topic };
  if (chosen.length === 0) return [{ ...common, shown, chosen: -1 }];
  return chosen.map((item) => ({
    ...common,
    shown: shown?.filter((each) => each === item || !chosen.includes(each)) ?? null,
    chosen: item,
  }));
}
