import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRandom, type Matrix, noisyNames, row, shuffle, toUnit } from "@microlora/evaluate";
import { EmbeddingIndex } from "microlora";
import type { Documents } from "./documents.js";
import { EvaluateError } from "./evaluate-error.js";
import type { EvaluateOptions } from "./options.js";
import { type KeptChoice, type OnStep, type Prepared, readChoices } from "./prepare.js";
import { hashOf } from "./spool.js";
import { type Place, type StoredChoice, type TaskFacts, writeFloats, writePerson } from "./task-files.js";
import { openEmbedder, type TextEmbedder } from "./text-embedder.js";
import { hasDirection } from "./values.js";

/** Documents that are looked for by name, at most, and among which they are looked for. */
const NAMED = 500;
/** Words of a text that are its name, where it has none. */
const NAME_WORDS = 8;
/** Kinds of queries, where the log does not name them. */
const TOPICS = 13;
/** Texts of queries whose vectors are kept. */
const KEPT_TEXTS = 20_000;
const BATCH = 512;

/** Embeds documents and queries, and writes all that the replay needs into a folder. @throws EvaluateError */
export async function writeTask(
  prepared: Prepared,
  options: EvaluateOptions,
  folder: string,
  onStep: OnStep,
): Promise<void> {
  const { documents, ratings, facts: log, popularity } = prepared;
  const rows = keptRows(documents.size, prepared.seen, options.mostDocuments);
  const embedder = documents.areVectors && options.model === null ? null : await openEmbedder(options.model);
  try {
    const dimensions = documents.width ?? embedder!.dimensions;
    if (embedder !== null && embedder.dimensions !== dimensions) {
      const problem = `has vectors ${dimensions} wide, and the embedder of --model gives ${embedder.dimensions}`;
      const remedy = "Pass the embedder that the documents were embedded with";
      throw new EvaluateError("wrong-documents", options.documents ?? options.log, problem, remedy);
    }
    const { items, named, names, halves } = await embedDocuments(documents, rows, embedder, dimensions, onStep);
    const kept = Float64Array.from(rows, (old) => popularity[old]!);
    const writer = new PeopleWriter(prepared, options, folder, { rows, items, popularity: kept, embedder });
    const tune = await writer.write("tune", onStep);
    const test = await writer.write("test", onStep);
    const facts: TaskFacts = {
      log,
      dimensions,
      indexed: rows.length,
      isRated: ratings !== null,
      hasTopics: writer.topics.size > 1,
      named,
      namesAreNoisy: documents.areVectors === true,
      query: writer.queryKind,
      drawn: writer.drawn,
      tune,
      test,
      emptyQueries: writer.emptyQueries,
      clipped: log.hasPropensity ? writer.clipped / Math.max(1, writer.weighted) : null,
    };
    writeFloats(folder, "items.f32", items.data);
    writeFloats(folder, "names.f32", names.data);
    writeFloats(folder, "halves.f32", halves.data);
    writeFloats(folder, "popularity.f64", kept);
    rmSync(join(folder, "documents.jsonl"));
    // What comes last says that all of it is there.
    writeFileSync(join(folder, "task.json"), JSON.stringify(facts));
  } finally {
    await embedder?.close();
  }
}

/** Rows of documents that are searched, in their order: all, or those that were seen and others at random. */
function keptRows(size: number, seen: Uint8Array, most: number): Int32Array {
  const all = Int32Array.from({ length: size }, (_, i) => i);
  if (size <= most) return all;
  const others = shuffle([...all.filter((i) => seen[i] === 0)], createRandom(11));
  const wanted = all.filter((i) => seen[i] === 1);
  return Int32Array.from([...wanted, ...others.slice(0, Math.max(0, most - wanted.length))]).sort();
}

async function embedDocuments(
  documents: Documents,
  rows: Int32Array,
  embedder: TextEmbedder | null,
  dimensions: number,
  onStep: OnStep,
) {
  const items = emptyMatrix(rows.length, dimensions);
  const asked = shuffle([...rows.keys()], createRandom(12))
    .slice(0, NAMED)
    .sort((a, b) => a - b);
  const isAsked = new Set(asked);
  const namesOf = new Map<number, string>();
  const place = new Map([...rows].map((old, i) => [old, i]));
  let texts: [number, string][] = [];
  let done = 0;
  const flush = async () => {
    const vectors = texts.length === 0 ? [] : await embedder!.embed(texts.map(([, text]) => text));
    for (const [k, vector] of vectors.entries()) row(items, texts[k]![0]).set(toUnit(Float32Array.from(vector)));
    texts = [];
    onStep("Embedding the documents", done / rows.length);
  };
  for await (const [old, { text, name, vector }] of documents.read((i) => place.has(i))) {
    const i = place.get(old)!;
    done++;
    if (vector !== undefined) row(items, i).set(toUnit(vector));
    else texts.push([i, text!]);
    if (isAsked.has(i) && text !== undefined) namesOf.set(i, name ?? wordsOf(text).slice(0, NAME_WORDS).join(" "));
    if (texts.length >= BATCH) await flush();
  }
  await flush();
  if (documents.areVectors) {
    const { names, halves } = noisyNames(rowsAt(items, asked));
    return { items, named: asked, names, halves };
  }
  const all = asked.map((i) => namesOf.get(i)!);
  const named = { names: await matrixOfTexts(all, embedder!), halves: await matrixOfTexts(all.map(halfOf), embedder!) };
  return { items, named: asked, ...named };
}

function emptyMatrix(rows: number, cols: number): Matrix {
  return { rows, cols, data: new Float32Array(rows * cols) };
}

function rowsAt(matrix: Matrix, rows: readonly number[]): Matrix {
  const result = emptyMatrix(rows.length, matrix.cols);
  for (const [k, i] of rows.entries()) row(result, k).set(row(matrix, i));
  return result;
}

async function matrixOfTexts(texts: readonly string[], embedder: TextEmbedder): Promise<Matrix> {
  const result = emptyMatrix(texts.length, embedder.dimensions);
  const vectors = await embedder.embed(texts);
  for (const [k, vector] of vectors.entries()) row(result, k).set(toUnit(Float32Array.from(vector)));
  return result;
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** The first half of a name's words, or of the letters of a single one. */
function halfOf(name: string): string {
  const words = wordsOf(name);
  if (words.length > 1) return words.slice(0, Math.ceil(words.length / 2)).join(" ");
  return [...name].slice(0, Math.ceil([...name].length / 2)).join("");
}

interface Space {
  readonly rows: Int32Array;
  readonly items: Matrix;
  readonly popularity: Float64Array;
  readonly embedder: TextEmbedder | null;
}

/** Writes users with the vectors of their queries. */
class PeopleWriter {
  readonly topics = new Map<string, number>();
  readonly queryKind: TaskFacts["query"];
  readonly drawn: number | null;
  emptyQueries = 0;
  weighted = 0;
  clipped = 0;
  readonly #prepared: Prepared;
  readonly #options: EvaluateOptions;
  readonly #folder: string;
  readonly #space: Space;
  readonly #place: ReadonlyMap<number, number>;
  readonly #texts = new Map<string, Float32Array>();
  readonly #mean: Float32Array;
  #directions: readonly Float32Array[] | null = null;

  constructor(prepared: Prepared, options: EvaluateOptions, folder: string, space: Space) {
    const { facts, ratings } = prepared;
    this.#prepared = prepared;
    this.#options = options;
    this.#folder = folder;
    this.#space = space;
    this.#place = new Map([...space.rows].map((old, i) => [old, i]));
    this.queryKind = facts.hasQuery ? "log" : (options.query ?? (ratings !== null || facts.hasShown ? "mean" : "last"));
    const { candidates } = options;
    const isWhole = candidates === null || candidates >= space.rows.length;
    this.drawn = ratings !== null || facts.hasShown ? null : isWhole ? 0 : candidates;
    this.#mean = meanOf(space, ratings !== null);
  }

  /** @returns how many users there are */
  async write(place: Place, onStep: OnStep): Promise<number> {
    const people = this.#prepared[place];
    const { cols } = this.#space.items;
    let written = 0;
    for (const [i, { user, path }] of people.entries()) {
      const vectors: Float32Array[] = [];
      const queryOf = new Map<Float32Array, number>();
      const choices: StoredChoice[] = [];
      const given = readChoices(path);
      const queries = await this.#queriesOf(given);
      const random = createRandom(hashOf(user));
      const own = new Set(given.map(({ chosen }) => this.#place.get(chosen) ?? -1));
      for (const [k, choice] of given.entries()) {
        const query = queries[k]!;
        if (query === null) continue;
        if (!hasDirection(query)) {
          this.emptyQueries++;
          continue;
        }
        if (!queryOf.has(query)) queryOf.set(query, vectors.push(query) - 1);
        choices.push(await this.#stored(choice, queryOf.get(query)!, query, own, random, place));
      }
      rmSync(path);
      if (choices.length < 5) continue;
      const data = new Float32Array(vectors.length * cols);
      for (const [q, vector] of vectors.entries()) data.set(vector, q * cols);
      writePerson(this.#folder, place, written++, choices, data);
      onStep("Embedding the queries", (i + 1) / people.length);
    }
    return written;
  }

  /** A query for each choice; null for the first one where the document chosen last is the query. */
  async #queriesOf(choices: readonly KeptChoice[]): Promise<(Float32Array | null)[]> {
    if (this.queryKind === "mean") return choices.map(() => this.#mean);
    if (this.queryKind === "last") {
      let last: Float32Array | null = null;
      return choices.map(({ chosen }) => {
        const query = last;
        if (chosen >= 0) last = row(this.#space.items, this.#place.get(chosen)!);
        return query;
      });
    }
    const texts = choices.flatMap(({ query }) => (typeof query === "string" ? [query] : []));
    const unknown = [...new Set(texts)].filter((text) => !this.#texts.has(text));
    const found = new Map(texts.flatMap((text) => (this.#texts.has(text) ? [[text, this.#texts.get(text)!]] : [])));
    const vectors = unknown.length === 0 ? [] : await this.#space.embedder!.embed(unknown);
    for (const [k, vector] of vectors.entries()) {
      const unit = toUnit(Float32Array.from(vector));
      found.set(unknown[k]!, unit);
      if (this.#texts.size < KEPT_TEXTS) this.#texts.set(unknown[k]!, unit);
    }
    return choices.map(({ query }) => (query instanceof Float32Array ? toUnit(query) : found.get(query!)!));
  }

  async #stored(
    { shown, chosen, rating, propensity, topic }: KeptChoice,
    q: number,
    query: Float32Array,
    own: ReadonlySet<number>,
    random: () => number,
    place: Place,
  ): Promise<StoredChoice> {
    const item = this.#place.get(chosen) ?? -1;
    const { ratings } = this.#prepared;
    return {
      q,
      shown: shown?.map((old) => this.#place.get(old)!) ?? this.#draw(item, own, random),
      chosen: item,
      topic: await this.#topicOf(topic, query),
      rating: ratings === null ? null : (2 * (rating! - ratings.low)) / (ratings.high - ratings.low) - 1,
      weight: propensity === null ? 1 : this.#weightOf(propensity, place),
    };
  }

  #weightOf(propensity: number, place: Place): number {
    const { clip } = this.#options;
    if (place === "test") {
      this.weighted++;
      if (1 / propensity > clip) this.clipped++;
    }
    return Math.min(clip, 1 / propensity);
  }

  /** The chosen document among others that the user never chose; null for all documents. */
  #draw(chosen: number, own: ReadonlySet<number>, random: () => number): number[] | null {
    const n = this.#space.items.rows;
    const count = Math.min(this.drawn ?? 0, n - own.size + 1);
    if (count < 2) return null;
    const drawn = new Set<number>([chosen]);
    while (drawn.size < count) {
      const i = Math.floor(random() * n);
      if (!own.has(i)) drawn.add(i);
    }
    return shuffle([...drawn], random);
  }

  async #topicOf(topic: string | null, query: Float32Array): Promise<number> {
    if (this.queryKind === "mean" && topic === null) return this.#numberOf("");
    return this.#numberOf(topic ?? `cluster ${await this.#clusterOf(query)}`);
  }

  #numberOf(topic: string): number {
    const known = this.topics.get(topic) ?? this.topics.size;
    this.topics.set(topic, known);
    return known;
  }

  /** The direction of the documents that a query is nearest to. */
  async #clusterOf(query: Float32Array): Promise<number> {
    this.#directions ??= await directionsOf(this.#space.items);
    let best = 0;
    let highest = Number.NEGATIVE_INFINITY;
    for (const [k, direction] of this.#directions.entries()) {
      const product = direction.reduce((sum, value, i) => sum + value * query[i]!, 0);
      if (product > highest) [highest, best] = [product, k];
    }
    return best;
  }
}

async function directionsOf(items: Matrix): Promise<readonly Float32Array[]> {
  const rows = Array.from({ length: Math.min(items.rows, 5000) }, (_, k) =>
    Math.floor((k * items.rows) / Math.min(items.rows, 5000)),
  );
  const index = await EmbeddingIndex.create(rows.map((i) => [i, row(items, i)] as const));
  try {
    return index.directions(Math.min(TOPICS, items.rows));
  } finally {
    index.close();
  }
}

/** The mean of the documents by how often they were chosen, or of all where nobody says it. */
function meanOf({ items, popularity }: Space, isRated: boolean): Float32Array {
  const sum = new Float32Array(items.cols);
  const isCounted = !isRated && popularity.some((count) => count > 0);
  for (let i = 0; i < items.rows; i++) {
    const weight = isCounted ? popularity[i]! : 1;
    if (weight !== 0) for (let j = 0; j < items.cols; j++) sum[j]! += weight * items.data[i * items.cols + j]!;
  }
  return toUnit(sum);
}
