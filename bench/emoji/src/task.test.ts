import { loadEmbedder } from "@microlora/embed";
import { beforeAll, describe, expect, test } from "vitest";
import { buildCorpus, type EmbeddedCorpus, embedCorpus, loadCorpus, stemsOf } from "./corpus.js";
import { TASK, TUNING_GROUPS } from "./hyperparameters.js";
import { ambiguousKeywords, buildTask, swapHalves, type Task } from "./task.js";
import { UsageError } from "./usage-error.js";

let corpus: EmbeddedCorpus;
const build = (seed: number, options: { groups?: readonly string[]; topics?: number } = {}) =>
  buildTask(corpus, { ...TASK, groups: TUNING_GROUPS, ...options, seed });

beforeAll(async () => {
  corpus = embedCorpus(loadCorpus(), await loadEmbedder());
});

const groupsOf = (keyword: number) =>
  new Set(corpus.keywords[keyword]!.relevant.map((row) => corpus.documents[row]!.group));

describe("the corpus", () => {
  test("drops keywords equal to the name, and joins spellings of one keyword", () => {
    const facts = { "🐈": { name: "cat", group: "Animals" }, "🐶": { name: "dog face", group: "Animals" } };
    const built = buildCorpus(facts, { "🐈": ["cat", "Pet", "house_pet"], "🐶": ["dog_face", "pet"], "🦄": ["pet"] });
    expect(built.keywords.map(({ text, relevant }) => [text, relevant])).toEqual([
      ["pet", [0, 1]],
      ["house pet", [0]],
    ]);
  });

  test("has emoji, names and keywords of the real thing", () => {
    expect(corpus.documents.length).toBeGreaterThan(1500);
    expect(corpus.keywords.length).toBeGreaterThan(4000);
    expect(corpus.groups).toHaveLength(9);
  });

  test("stems", () => {
    expect(stemsOf("running shoes")).toEqual(["run", "shoe"]);
    expect(stemsOf(":)")).toEqual([":)"]);
  });
});

test("an ambiguous keyword fits two groups or more, by another count", () => {
  const expected = corpus.keywords.flatMap((_, row) => (groupsOf(row).size >= 2 ? [row] : []));
  expect(ambiguousKeywords(corpus)).toEqual(expected);
});

describe.each([1, 2, 3])("the user of seed %i", (seed) => {
  let task: Task;
  beforeAll(() => {
    task = build(seed);
  });

  test("is the same user again", () => expect(build(seed)).toEqual(task));

  test("prefers a different group of those allowed in each topic", () => {
    expect(new Set(task.taste).size).toBe(TASK.topics);
    for (const group of task.taste) expect(TUNING_GROUPS).toContain(group);
  });

  test("asks ambiguous queries, and wants the preferred ones among the emoji that fit", () => {
    for (const { keyword, topic, wanted } of [...task.learning, ...task.unseen]) {
      expect(groupsOf(keyword).size).toBeGreaterThan(1);
      const relevant = corpus.keywords[keyword]!.relevant;
      expect(wanted).toEqual(relevant.filter((row) => corpus.documents[row]!.group === task.taste[topic]));
      expect(wanted.length).toBeGreaterThan(0);
    }
  });

  test("has two halves without a stem in common", () => {
    const stems = (half: Task["learning"]) => new Set(half.flatMap(({ keyword }) => corpus.keywords[keyword]!.stems));
    const learned = stems(task.learning);
    for (const stem of stems(task.unseen)) expect(learned).not.toContain(stem);
    expect(Math.min(task.learning.length, task.unseen.length)).toBeGreaterThan(20);
  });

  test("has unrelated keywords that fit no preferred group at all", () => {
    expect(task.unrelated).toHaveLength(TASK.unrelated);
    expect(new Set(task.unrelated).size).toBe(TASK.unrelated);
    for (const keyword of task.unrelated)
      for (const group of task.taste) expect(groupsOf(keyword)).not.toContain(group);
  });
});

test("different seeds are different users", () => {
  expect(build(1).learning).not.toEqual(build(2).learning);
});

test("a uniform taste is one group everywhere", () => {
  const task = build(1, { groups: ["Food & Drink"], topics: 1 });
  expect(task.taste).toEqual(["Food & Drink"]);
  expect(new Set(task.learning.map(({ topic }) => topic))).toEqual(new Set([0]));
});

test("the other way round, the halves change places and nothing else does", () => {
  const task = build(1);
  expect(swapHalves(task)).toEqual({ ...task, learning: task.unseen, unseen: task.learning });
});

test("no taste can be drawn where no group has enough queries", () => {
  expect(() => buildTask(corpus, { ...TASK, seed: 1, groups: TUNING_GROUPS, minimumQueries: 5000 })).toThrow(
    UsageError,
  );
});
