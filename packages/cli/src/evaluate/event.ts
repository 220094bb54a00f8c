import type { Columns, LogRole } from "./columns.js";
import type { Documents } from "./documents.js";
import type { EvaluateOptions } from "./options.js";
import { cellOf, hasDirection, idOf, listOf, numberOf, timeOf, vectorOf } from "./values.js";

/** One row of a log that can be replayed. Documents are rows of `Documents`. */
export interface LogEvent {
  readonly user: string;
  /** null where the log has no times. */
  readonly time: number | null;
  /** Text or vector; null where the log has no queries. */
  readonly query: string | Float32Array | null;
  /** null where it is not known what was shown. */
  readonly shown: readonly number[] | null;
  /** What was chosen or rated; empty where nothing was. */
  readonly chosen: readonly number[];
  readonly rating: number | null;
  /** How likely it was that the user saw what was chosen. */
  readonly propensity: number | null;
  readonly topic: string | null;
}

/** Why a row cannot be replayed. */
export interface EventProblem {
  readonly problem: string;
  readonly found?: string;
}

type Record_ = Readonly<Record<string, unknown>>;

/** Reads rows of a log. @param isOpen whether documents are made of what the log names */
export class EventReader {
  readonly #columns: Columns<LogRole>;
  readonly #documents: Documents;
  readonly #isOpen: boolean;
  readonly #options: Pick<EvaluateOptions, "liked" | "model">;

  constructor(
    columns: Columns<LogRole>,
    documents: Documents,
    isOpen: boolean,
    options: Pick<EvaluateOptions, "liked" | "model">,
  ) {
    this.#columns = columns;
    this.#documents = documents;
    this.#isOpen = isOpen;
    this.#options = options;
  }

  /** Whether rows are ratings as they are. */
  get isRated(): boolean {
    return this.#columns.rating !== undefined && this.#options.liked === null;
  }

  /** An event, why it is mistaken, or null for a row that says nothing: a rating below what counts as liked. */
  read(record: Record_): LogEvent | EventProblem | null {
    const user = idOf(this.#cell(record, "user"));
    if (user === undefined) return { problem: "has no user" };
    const time = this.#time(record);
    if (typeof time === "object" && time !== null) return time;
    const query = this.#query(record);
    if (isProblem(query)) return query;
    const rating = this.#rating(record);
    if (isProblem(rating)) return rating;
    const { liked } = this.#options;
    if (liked !== null && rating !== null && rating < liked) return null;
    const chosen = this.#items(record, "chosen");
    if (isProblem(chosen)) return chosen;
    if (this.isRated) return this.#rated({ user, time, query, chosen, rating });
    const shown = this.#items(record, "shown");
    if (isProblem(shown)) return shown;
    const propensity = this.#propensity(record);
    if (isProblem(propensity)) return propensity;
    const topic = idOf(this.#cell(record, "topic")) ?? null;
    return this.#choice({ user, time, query, shown, chosen: chosen ?? [], rating: null, propensity, topic });
  }

  #choice(event: LogEvent): LogEvent | EventProblem {
    const { shown, chosen } = event;
    if (shown === null && chosen.length === 0) return { problem: "says neither what was shown nor what was chosen" };
    if (shown !== null && shown.length < 2) return { problem: "says of one document only that it was shown" };
    if (shown !== null && !chosen.every((item) => shown.includes(item))) {
      return { problem: "what was chosen is not among what was shown" };
    }
    return event;
  }

  #rated({
    chosen,
    ...event
  }: Pick<LogEvent, "user" | "time" | "query" | "rating"> & { chosen: readonly number[] | null }) {
    if (chosen === null) return { problem: "says not what was rated" };
    if (chosen.length !== 1) return { problem: "has one rating for several documents" };
    if (event.rating === null) return { problem: "has no rating" };
    return { ...event, chosen, shown: null, propensity: null, topic: null };
  }

  #time(record: Record_): number | null | EventProblem {
    if (this.#columns.time === undefined) return null;
    const cell = this.#cell(record, "time");
    const time = timeOf(cell);
    return time ?? { problem: "has no time that can be read", found: String(cell ?? "") };
  }

  #query(record: Record_): string | Float32Array | null | EventProblem {
    if (this.#columns.query === undefined) return null;
    const cell = this.#cell(record, "query");
    if (cell === undefined) return { problem: "has no query" };
    const vector = vectorOf(cell);
    const { areVectors, width } = this.#documents;
    if (vector === undefined) {
      const text = typeof cell === "object" ? undefined : String(cell);
      if (text === undefined) return { problem: "the query is neither a text nor a list of numbers" };
      if (!areVectors || this.#options.model !== null) return text;
      return { problem: "the query is a text, and the documents are vectors: pass --model with their embedder" };
    }
    if (areVectors === false) return { problem: "the query is a vector, and the documents are texts" };
    if (width !== null && vector.length !== width) {
      return { problem: `the query is not ${width} wide as the documents are`, found: String(vector.length) };
    }
    return hasDirection(vector) ? vector : { problem: "the query is zero or not finite" };
  }

  #rating(record: Record_): number | null | EventProblem {
    if (this.#columns.rating === undefined) return null;
    const cell = this.#cell(record, "rating");
    if (cell === undefined) return null;
    return numberOf(cell) ?? { problem: "the rating is not a number", found: String(cell) };
  }

  #propensity(record: Record_): number | null | EventProblem {
    if (this.#columns.propensity === undefined) return null;
    const cell = this.#cell(record, "propensity");
    if (cell === undefined) return null;
    const value = numberOf(cell);
    if (value !== undefined && value > 0 && value <= 1) return value;
    return { problem: "the propensity is not above 0 and at most 1", found: String(cell) };
  }

  /** Rows of documents, each once. */
  #items(record: Record_, role: "shown" | "chosen"): readonly number[] | null | EventProblem {
    const cell = this.#cell(record, role);
    if (cell === undefined) return null;
    const rows = new Set<number>();
    for (const item of listOf(cell)) {
      const row = this.#rowOf(item);
      if (isProblem(row)) return row;
      rows.add(row);
    }
    return [...rows];
  }

  #rowOf(item: unknown): number | EventProblem {
    const given =
      typeof item === "object" && item !== null ? (item as { readonly [key: string]: unknown }) : { id: item };
    const id = idOf(given.id);
    if (id === undefined) return { problem: "names a document without an id" };
    const row = this.#documents.rowOf(id);
    if (row !== undefined) return row;
    if (!this.#isOpen) return { problem: "names a document that is not among the documents", found: id };
    const vector = vectorOf(given.vector);
    const text = idOf(given.text) ?? id;
    const problem = this.#documents.add(id, vector === undefined ? { text } : { text, vector });
    return problem === undefined
      ? this.#documents.size - 1
      : { problem: `names a document that ${problem}`, found: id };
  }

  #cell(record: Record_, role: LogRole): unknown {
    const names = this.#columns[role];
    if (names === undefined) return undefined;
    if (names.length === 1) return cellOf(record[names[0]!]);
    const parts = names.map((name) => cellOf(record[name])).filter((part) => part !== undefined);
    return parts.length === 0 ? undefined : parts.map(String).join(" ");
  }
}

export function isProblem(value: unknown): value is EventProblem {
  return typeof value === "object" && value !== null && "problem" in value;
}
