import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { logColumns, parseColumns } from "./columns.js";
import { Documents, readDocuments } from "./documents.js";
import { EventReader } from "./event.js";
import type { EvaluateOptions } from "./options.js";
import { prepare, readChoices } from "./prepare.js";

const folder = mkdtempSync(join(tmpdir(), "event-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

function readerOf(names: readonly string[], { isOpen = true, liked = null as number | null, vectors = false } = {}) {
  const documents = new Documents(at("documents"));
  for (const id of ["a", "b", "c"]) {
    documents.add(id, vectors ? { vector: Float32Array.of(1, 2, id.charCodeAt(0)) } : { text: id });
  }
  return new EventReader(logColumns("log", names, {}), documents, isOpen, { liked, model: null });
}

test("the usual names are known, whatever their case and strokes", () => {
  const columns = logColumns("log", ["Customer-ID", "Timestamp", "Search_Term", "results", "movieId", "Stars"], {});
  expect(columns).toEqual({
    user: ["Customer-ID"],
    time: ["Timestamp"],
    query: ["Search_Term"],
    shown: ["results"],
    chosen: ["movieId"],
    rating: ["Stars"],
  });
  expect(parseColumns("text=title+genres,name=title", ["id", "text", "name", "vector"])).toEqual({
    text: ["title", "genres"],
    name: ["title"],
  });
});

test("lists are JSON or divided, ids are texts or numbers, and documents that come twice count once", () => {
  const reader = readerOf(["user", "time", "query", "shown", "chosen"]);
  const common = { user: 7, time: "2026-05-01T00:00:00Z", query: "x" };
  const read = { user: "7", time: Date.UTC(2026, 4, 1), query: "x", rating: null, propensity: null, topic: null };
  expect(reader.read({ ...common, shown: '["a","b","a"]', chosen: "b" })).toEqual({
    ...read,
    shown: [0, 1],
    chosen: [1],
  });
  expect(reader.read({ ...common, shown: "a|c", chosen: "" })).toEqual({ ...read, shown: [0, 2], chosen: [] });
  expect(reader.read({ ...common, shown: [{ id: "new", text: "t" }, { id: "a" }], chosen: ["new", "a"] })).toEqual({
    ...read,
    shown: [3, 0],
    chosen: [3, 0],
  });
});

test.each([
  [{ chosen: "a" }, "has no user"],
  [{ user: "u", time: "soon", chosen: "a" }, "has no time that can be read"],
  [{ user: "u", time: 1, chosen: "a" }, "has no query"],
  [{ user: "u", time: 1, query: "q" }, "says neither what was shown nor what was chosen"],
  [{ user: "u", time: 1, query: "q", shown: ["a"], chosen: "a" }, "says of one document only that it was shown"],
  [{ user: "u", time: 1, query: "q", shown: ["a", "b"], chosen: "c" }, "what was chosen is not among what was shown"],
  [{ user: "u", time: 1, query: "q", shown: ["a", "d"] }, "names a document that is not among the documents"],
  [{ user: "u", time: 1, query: [1, 2, 3], chosen: "a" }, "the query is a vector, and the documents are texts"],
  [{ user: "u", time: 1, query: "q", chosen: "a", propensity: 0 }, "the propensity is not above 0 and at most 1"],
])("%j is mistaken", (record, problem) => {
  const reader = readerOf(["user", "time", "query", "shown", "chosen", "propensity"], { isOpen: false });
  expect(reader.read(record)).toMatchObject({ problem });
});

test.each([
  [[1, 0, 0, 0], "the query is not 3 wide as the documents are"],
  [[0, 0, 0], "the query is zero or not finite"],
  ["words", "the query is a text, and the documents are vectors: pass --model with their embedder"],
])("beside vectors, the query %j is mistaken", (query, problem) => {
  const reader = readerOf(["user", "query", "chosen"], { vectors: true });
  expect(reader.read({ user: "u", query, chosen: "a" })).toMatchObject({ problem });
});

test("ratings are read as they are, or as choices from --liked on", () => {
  const names = ["userId", "movieId", "rating"];
  expect(readerOf(names).read({ userId: "1", movieId: "a", rating: "3.5" })).toMatchObject({
    chosen: [0],
    rating: 3.5,
  });
  expect(readerOf(names).read({ userId: "1", movieId: "a", rating: "good" })).toMatchObject({
    problem: "the rating is not a number",
  });
  const liked = readerOf(names, { liked: 4 });
  expect(liked.read({ userId: "1", movieId: "a", rating: "3.5" })).toBeNull();
  expect(liked.read({ userId: "1", movieId: "a", rating: "4" })).toMatchObject({
    chosen: [0],
    rating: null,
    shown: null,
  });
});

test("documents: joined columns, vectors of one width, ids once", async () => {
  writeFileSync(at("texts.csv"), "movieId,title,genres\n1,Heat,Crime|Thriller\n1,again,\n2,Up,\n,x,\n3,,\n");
  const texts = new Documents(at("texts"));
  const columns = { text: ["title", "genres"] };
  const mistakes = await readDocuments(at("texts.csv"), { documentColumns: columns }, texts, () => {});
  texts.close();
  const found = [];
  for await (const [, document] of texts.read(() => true)) found.push(document);
  expect(found).toEqual([
    { text: "Heat. Crime, Thriller", name: "Heat" },
    { text: "Up", name: "Up" },
  ]);
  expect(mistakes.report()).toMatchObject({ unit: "line", count: 3 });

  const lines = [
    { id: 1, vector: [1, 0, 0] },
    { id: 2, vector: [1, 0] },
    { id: 3, vector: "[0,1,0]" },
    { id: 4, vector: [0, 0, 0] },
    { id: 5, vector: [0, 1, 0, 0] },
  ];
  writeFileSync(at("vectors.jsonl"), lines.map((line) => JSON.stringify(line)).join("\n"));
  const vectors = new Documents(at("vectors"));
  const wrong = await readDocuments(at("vectors.jsonl"), { documentColumns: {} }, vectors, () => {});
  expect([vectors.size, vectors.width, wrong.count]).toEqual([2, 3, 3]);
});

const OPTIONS: Omit<EvaluateOptions, "log"> = {
  documents: null,
  format: null,
  columns: {},
  documentColumns: {},
  model: null,
  liked: null,
  query: null,
  candidates: 50,
  users: 200,
  leastEvents: 5,
  mostDocuments: 100,
  clip: 10,
};

test("users' rows come in the order of time, once each; several choices are one after the other, without one another", async () => {
  const times = [5, 3, 4, 1, 2, 2];
  const rows = Array.from({ length: 25 }, (_, u) =>
    times.map((time) => ({
      user: `u${u}`,
      time,
      query: `q${time}`,
      shown: ["x", "y", "z"],
      chosen: time === 1 ? ["x", "z"] : "y",
    })),
  );
  writeFileSync(
    at("log.jsonl"),
    rows
      .flat()
      .map((row) => JSON.stringify(row))
      .join("\n"),
  );
  const {
    tune,
    test: reported,
    facts,
    popularity,
  } = await prepare({ ...OPTIONS, log: at("log.jsonl") }, at("work"), () => {});
  expect([tune.length, reported.length]).toEqual([7, 13]);
  expect(facts).toMatchObject({ rows: 150, events: 150, users: 25, hasShown: true, hasTime: true });
  // The twins of the 20 users that are tuned and reported on, and of the five that make popularity.
  expect(facts.repeated).toBe(25);
  // Documents are in the order in which the log names them: y, x, z.
  expect([...popularity]).toEqual([20, 5, 5]);
  const choices = readChoices(reported[0]!.path);
  expect(choices.map(({ query }) => query)).toEqual(["q1", "q1", "q2", "q3", "q4", "q5"]);
  expect(choices.slice(0, 3).map(({ shown, chosen }) => [shown, chosen])).toEqual([
    [[1, 0], 1],
    [[0, 2], 2],
    [[1, 0, 2], 0],
  ]);
});

test("too few users are told how few events would do", async () => {
  const rows = Array.from({ length: 30 * 7 }, (_, i) => JSON.stringify({ user: i % 30, time: i, chosen: `d${i % 4}` }));
  writeFileSync(at("few.jsonl"), rows.join("\n"));
  const run = prepare({ ...OPTIONS, log: at("few.jsonl"), leastEvents: 20 }, at("few"), () => {});
  await expect(run).rejects.toMatchObject({
    code: "too-few-users",
    message: expect.stringContaining("--least-events 7"),
  });
});
