import { loadEmbedder, type TextEmbedder } from "@microlora/embed";
import { Runtime } from "microlora";
import { type Corpus, DEPTH, type Entry, fetchEntries, foundOf, makeCorpus } from "./corpus.js";
import { type Forgetting, ForgettingExperiment, type ForgettingOptions } from "./forgetting.js";
import { mapOf, type Nearby } from "./nearby.js";
import { EAGERNESS, Person, type Saved } from "./person.js";
import { type Keeping, Shelf } from "./shelf.js";

export interface Row extends Entry {
  /** Places that the document rose for this user; negative where it fell, null where everyone's list does not show it. */
  readonly rose: number | null;
}

export interface Related {
  readonly query: string;
  readonly title: string;
  readonly from: number;
  readonly to: number;
}

/** Everything that the page shows of the user in hand. */
export interface Status {
  readonly corpus: string;
  readonly user: string;
  readonly users: readonly string[];
  readonly clicks: number;
  readonly cursor: number;
  readonly bytes: number;
  readonly eagerness: number;
  /** Change of finding documents by their names, as a share of the reciprocal rank. */
  readonly elsewhere: number;
}

export interface Found {
  readonly query: string;
  /** Whether the embedder knows a word of the query. */
  readonly known: boolean;
  readonly mine: readonly Row[];
  readonly everyone: readonly Row[];
  readonly map: Nearby | null;
  readonly microseconds: { readonly embed: number; readonly search: number };
}

export interface Learned {
  readonly microseconds: number;
  readonly found: Found;
  readonly related: Related | null;
  readonly status: Status;
}

/** How many rows a list shows, how deep a rise is followed, and how many documents the map places. */
const SHOWN = 8;
const DEEP = 200;
const PLACED = 8;

const FIRST_USER = "Anna";

/** All that learns, in a worker: one embedder, one corpus at a time, its users. */
export class Session {
  readonly #shelf: Shelf;
  #runtime!: Runtime;
  #embedder!: TextEmbedder;
  #corpus!: Corpus;
  #people = new Map<string, Person>();
  #user = FIRST_USER;
  #emoji: Promise<Corpus> | null = null;
  #experiment: ForgettingExperiment | null = null;

  constructor(told: (keeping: Keeping) => void) {
    this.#shelf = new Shelf(told);
  }

  async open(corpus: string, onProgress: (loaded: number, total: number) => void): Promise<Status> {
    this.#runtime = await Runtime.create({ kernels: "simd", memoryBytes: 64 * 2 ** 20 }).catch(() =>
      Runtime.create({ kernels: "scalar", memoryBytes: 64 * 2 ** 20 }),
    );
    const [embedder] = await Promise.all([
      loadEmbedder({ dimensions: 128, onProgress: ({ loaded, total }) => onProgress(loaded, total ?? 0) }),
      this.#shelf.open(),
    ]);
    this.#embedder = embedder;
    return this.openCorpus(corpus);
  }

  /** Opens a corpus of the page's, or one of the reader's own documents. */
  async openCorpus(name: string, titles: readonly string[] | null = null): Promise<Status> {
    const entries =
      titles?.map((title, i) => ({ id: `${i} ${title}`, title, picture: null })) ?? (await fetchEntries(name));
    const corpus = await makeCorpus(name, entries, this.#embedder, this.#runtime);
    await this.#enter(corpus);
    return this.status();
  }

  /** Documents that the corpus holds. */
  get size(): number {
    return this.#corpus.index.size;
  }

  async takeOver(): Promise<Status> {
    await this.#shelf.takeOver();
    await this.#enter(this.#corpus);
    return this.status();
  }

  search(query: string): Found {
    const person = this.#person;
    const vector = this.#embedder.embed(query);
    const known = vector.some((value) => value !== 0);
    if (!known) return { query, known, mine: [], everyone: [], map: null, microseconds: { embed: 0, search: 0 } };
    const embed = micros(200, () => this.#embedder.embed(query));
    const search = micros(12, () => person.personalizer.search(vector, this.#corpus.index, SHOWN));
    const everyone = this.#corpus.index.search(vector, DEEP).map(({ id }) => id);
    const mine = person.personalizer.search(vector, this.#corpus.index, DEEP).map(({ id }) => id);
    const rows = (ids: readonly string[]) =>
      ids
        .slice(0, SHOWN)
        .map((id) => ({ ...this.#corpus.entries.get(id)!, rose: roseOf(everyone.indexOf(id), mine.indexOf(id)) }));
    const embedded = (text: string) => this.#embedder.embed(text);
    const place = { corpus: this.#corpus, person, embed: embedded };
    const map = mapOf(place, vector, mine.slice(0, PLACED), everyone.slice(0, PLACED));
    return { query, known, mine: rows(mine), everyone: rows(everyone), map, microseconds: { embed, search } };
  }

  async choose(query: string, chosen: string): Promise<Learned> {
    const person = this.#person;
    const listed = person.personalizer.search(this.#embedder.embed(query), this.#corpus.index, SHOWN);
    const shown = [...new Set([...listed.map(({ id }) => id), chosen])];
    const relatives = this.#relativesOf(query, chosen);
    const ranksBefore = relatives.map((text) => this.#rankOf(text, chosen));
    const microseconds = person.learn({ query, chosen, shown });
    await this.#shelf.put(person.saved);
    const ranksAfter = relatives.map((text) => this.#rankOf(text, chosen));
    const best = relatives
      .map((text, i) => ({
        query: text,
        title: this.#corpus.entries.get(chosen)!.title,
        from: ranksBefore[i]!,
        to: ranksAfter[i]!,
      }))
      .filter(({ from, to }) => to < from && to < SHOWN)
      .sort((a, b) => b.from - b.to - (a.from - a.to))[0];
    return { microseconds, found: this.search(query), related: best ?? null, status: this.status() };
  }

  async goTo(cursor: number): Promise<Status> {
    return this.#changed((person) => person.goTo(cursor));
  }

  async setEagerness(eagerness: number): Promise<Status> {
    return this.#changed((person) => person.setEagerness(eagerness));
  }

  /** Erases a user, here and on disk. @returns the bytes that are gone */
  async forget(): Promise<{ readonly bytes: number; readonly status: Status }> {
    const bytes = this.#bytes;
    this.#person.close();
    await this.#shelf.delete(this.#corpus.name, this.#user);
    this.#people.delete(this.#user);
    if (this.#people.size === 0) this.#add(newcomer(this.#corpus.name, FIRST_USER));
    this.#user = [...this.#people.keys()][0]!;
    return { bytes, status: this.status() };
  }

  use(name: string): Status {
    this.#user = name;
    return this.status();
  }

  /** A new user; with `branch`, one who starts with the choices up to now of the user in hand. */
  async addUser(name: string, branch: boolean): Promise<Status> {
    if (!this.#people.has(name)) {
      const { eagerness } = this.#person.saved;
      const clicks = branch ? this.#person.clicks : [];
      this.#add({ ...newcomer(this.#corpus.name, name), clicks, cursor: clicks.length, eagerness });
      await this.#shelf.put(this.#people.get(name)!.saved);
    }
    return this.use(name);
  }

  /** The user's choices and the state that they led to, as files. */
  export(): { readonly json: string; readonly mlora: Uint8Array } {
    const { saved, personalizer } = this.#person;
    return { json: JSON.stringify(saved, null, 1), mlora: personalizer.toBytes() };
  }

  /** Takes in a user that `export` gave out. @throws Error if it is not one of this corpus */
  async import(json: string): Promise<Status> {
    const saved = readSaved(json, this.#corpus);
    this.#people.get(saved.name)?.close();
    this.#add(saved);
    await this.#shelf.put(saved);
    return this.use(saved.name);
  }

  /** Begins the experiment on forgetting anew, on emoji, whatever the reader searches. */
  async beginForgetting(options: ForgettingOptions): Promise<Forgetting> {
    this.#emoji ??= fetchEntries("emoji").then((entries) =>
      makeCorpus("emoji", entries, this.#embedder, this.#runtime),
    );
    const { index, entries } = await this.#emoji;
    const ids = new Map([...entries.values()].map(({ id, title }) => [title, id]));
    this.#experiment?.close();
    const parts = { embedder: this.#embedder, index, runtime: this.#runtime, idOf: (title: string) => ids.get(title)! };
    this.#experiment = new ForgettingExperiment(options, parts);
    return this.#experiment.state;
  }

  /** Learns one more round of the experiment. */
  learnOn(): Forgetting {
    return this.#experiment!.step();
  }

  status(): Status {
    const { saved } = this.#person;
    return {
      corpus: this.#corpus.name,
      user: this.#user,
      users: [...this.#people.keys()],
      clicks: saved.clicks.length,
      cursor: saved.cursor,
      bytes: this.#bytes,
      eagerness: saved.eagerness,
      elsewhere: this.#elsewhere(),
    };
  }

  get #person(): Person {
    return this.#people.get(this.#user)!;
  }

  get #bytes(): number {
    return this.#person.personalizer.toBytes().length;
  }

  async #changed(change: (person: Person) => void): Promise<Status> {
    change(this.#person);
    await this.#shelf.put(this.#person.saved);
    return this.status();
  }

  /** Goes to a corpus and its users, in one step, since calls come while this one waits. */
  async #enter(corpus: Corpus): Promise<void> {
    const saved = await this.#shelf.usersOf(corpus.name);
    for (const person of this.#people.values()) person.close();
    if (this.#corpus !== corpus) this.#corpus?.index.close();
    this.#corpus = corpus;
    this.#people = new Map();
    for (const each of saved.length > 0 ? saved : [newcomer(corpus.name, FIRST_USER)]) this.#add(each);
    if (!this.#people.has(this.#user)) this.#user = [...this.#people.keys()][0]!;
  }

  #add(saved: Saved): void {
    const embed = (text: string) => this.#embedder.embed(text);
    this.#people.set(saved.name, new Person(saved, this.#corpus, this.#runtime, embed));
  }

  /** Names of the documents around, as other ways to ask. */
  #relativesOf(query: string, chosen: string): string[] {
    const vector = this.#embedder.embed(query);
    const around = this.#corpus.index.search(vector, 40).map(({ id }) => this.#corpus.entries.get(id)!);
    return around.filter(({ id, title }) => id !== chosen && title !== query).map(({ title }) => title);
  }

  #rankOf(text: string, id: string): number {
    const hits = this.#person.personalizer.search(this.#embedder.embed(text), this.#corpus.index, DEEP);
    const rank = hits.findIndex((hit) => hit.id === id);
    return rank === -1 ? DEEP : rank;
  }

  #elsewhere(): number {
    const { names, namesFound, index } = this.#corpus;
    if (namesFound === 0) return 0;
    return foundOf(names, (query) => this.#person.personalizer.search(query, index, DEPTH)) / namesFound - 1;
  }
}

function newcomer(corpus: string, name: string): Saved {
  return { corpus, name, clicks: [], cursor: 0, eagerness: EAGERNESS.usual };
}

function roseOf(everyone: number, mine: number): number | null {
  return everyone === -1 || mine === -1 ? null : everyone - mine;
}

/** Microseconds of a call, the mean of a few. */
function micros(times: number, call: () => unknown): number {
  const start = performance.now();
  for (let i = 0; i < times; i++) call();
  return (1000 * (performance.now() - start)) / times;
}

const NOT_OURS = "This is not a file that this page saved.";

function readSaved(json: string, corpus: Corpus): Saved {
  let saved: Partial<Saved>;
  try {
    saved = JSON.parse(json) as Partial<Saved>;
  } catch {
    throw new Error(NOT_OURS);
  }
  const { name, clicks, cursor, eagerness } = saved ?? {};
  const isClick = (click: Partial<Saved["clicks"][number]>) =>
    typeof click?.query === "string" &&
    Array.isArray(click.shown) &&
    click.shown.every((id) => corpus.entries.has(id)) &&
    click.shown.includes(click.chosen ?? "");
  if (typeof name !== "string" || !Array.isArray(clicks) || !Number.isInteger(cursor)) throw new Error(NOT_OURS);
  if (saved.corpus !== corpus.name || !clicks.every(isClick)) {
    throw new Error(`This file belongs to the documents "${saved.corpus}". Open those first.`);
  }
  const { least, most, usual } = EAGERNESS;
  const isEager = typeof eagerness === "number" && eagerness >= least && eagerness <= most;
  return {
    corpus: corpus.name,
    name: name.slice(0, 40),
    clicks,
    cursor: Math.max(0, Math.min(clicks.length, cursor!)),
    eagerness: isEager ? eagerness : usual,
  };
}
