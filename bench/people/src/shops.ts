import { type Choice, centroid, createRandom, noisyNames, range, shuffle } from "@microlora/evaluate";
import { type Groceries, type Lecturers, readJson, readVectors } from "./files.js";
import { candidates } from "./films.js";
import type { Problem } from "./problem.js";

const CANDIDATES = 50;
const LEAST_OF_KIND = 5;
const LEAST_CHOICES = 20;
const LEAST_RATINGS = 15;

/** Customers of Ta Feng who choose a product of a kind, or among anything; most products are bought again. */
export function groceryProblem(among: "kind" | "anything"): Problem {
  const data = readJson<Groceries>("groceries");
  const items = readVectors("groceries", 64);
  const kinds = [...new Set(data.subclass)].sort((a, b) => a - b);
  const ofKind = kinds.map((kind) => [...range(items.rows)].filter((i) => data.subclass[i] === kind));
  const queries = ofKind.map((rows) => centroid(items, rows));
  const random = createRandom(15);
  const people = data.users.map(({ split, events }) => {
    const choices: Choice[] = [];
    for (const [item] of events) {
      const topic = kinds.indexOf(data.subclass[item]!);
      const rows = ofKind[topic]!;
      if (among === "kind" && rows.length < LEAST_OF_KIND) continue;
      const shown = among === "kind" ? oneOfKind(rows, item, random) : candidates(items.rows, item, new Set(), random);
      choices.push({ query: queries[topic]!, chosen: item, shown, topic });
    }
    return { split, choices };
  });
  return {
    items,
    people: people.filter(({ choices }) => choices.length >= LEAST_CHOICES),
    popularity: Float64Array.from(data.popularity),
    named: noisyNames(items),
    indexed: true,
    rated: false,
  };
}

function oneOfKind(rows: readonly number[], chosen: number, random: () => number): Int32Array {
  const others = shuffle(
    rows.filter((r) => r !== chosen),
    random,
  );
  return Int32Array.from(shuffle([chosen, ...others.slice(0, CANDIDATES - 1)], random));
}

/** Students of ETH Zurich who rate their lecturers. */
export function lecturerProblem(): Problem {
  const data = readJson<Lecturers>("lecturers");
  const items = readVectors("lecturers", 64);
  const query = centroid(items, [...range(items.rows)]);
  const people = data.users.map(({ split, events }) => ({
    split,
    choices: events.map(([chosen, stars]) => ({ query, chosen, shown: null, topic: 0, rating: (stars - 3) / 2 })),
  }));
  return {
    items,
    people: people.filter(({ choices }) => choices.length >= LEAST_RATINGS),
    popularity: Float64Array.from(data.mean),
    named: noisyNames(items),
    indexed: true,
    rated: true,
  };
}
