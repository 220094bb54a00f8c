import { existsSync } from "node:fs";
import { join } from "node:path";
import { CACHE } from "./files.js";
import { type FilmOptions, filmProblem } from "./films.js";
import { panelProblem } from "./panels.js";
import type { Problem } from "./problem.js";
import { groceryProblem, lecturerProblem } from "./shops.js";

/** One problem, and what its rows in the tables say of it. */
export interface ProblemEntry {
  readonly title: string;
  /** Whether defaults of the library were chosen on tune people of this data set. */
  readonly shaped: boolean;
  make(): Problem | Promise<Problem>;
}

const film = (title: string, shaped: boolean, options: FilmOptions): ProblemEntry => ({
  title,
  shaped,
  make: () => filmProblem(options),
});

const panel = (title: string, shaped: boolean, name: string, least?: number): ProblemEntry => ({
  title,
  shaped,
  make: () => panelProblem(name, least),
});

const SMALL = "films";
const K100 = "films-100k";

/** Every problem by its name. */
export const PROBLEMS: Readonly<Record<string, ProblemEntry>> = {
  "film-static": film("films by genre, our text vectors", true, { set: SMALL, space: "static", ask: "genre" }),
  "film-minilm": film("films by genre, MiniLM", true, { set: SMALL, space: "minilm", ask: "genre" }),
  "film-cf": film("films by genre, collaborative vectors", true, { set: SMALL, space: "cf", ask: "genre" }),
  "film-whole": film("the same as the first, among all films", true, {
    set: SMALL,
    space: "static",
    ask: "genre",
    whole: true,
  }),
  "next-cf": film("the next film, collaborative vectors", true, { set: SMALL, space: "cf", ask: "next" }),
  "next-minilm": film("the next film, MiniLM", true, { set: SMALL, space: "minilm", ask: "next" }),
  "100k-static": film("MovieLens 100K by genre, our text vectors", false, {
    set: K100,
    space: "static",
    ask: "genre",
  }),
  "100k-minilm": film("MovieLens 100K by genre, MiniLM", false, { set: K100, space: "minilm", ask: "genre" }),
  "100k-cf": film("MovieLens 100K by genre, collaborative vectors", false, { set: K100, space: "cf", ask: "genre" }),
  "100k-next": film("MovieLens 100K, the next film, collaborative vectors", false, {
    set: K100,
    space: "cf",
    ask: "next",
  }),
  "grocery-kind": { title: "groceries of a kind", shaped: true, make: () => groceryProblem("kind") },
  grocery: { title: "groceries among anything", shaped: true, make: () => groceryProblem("anything") },
  catsup: panel("catsup", true, "catsup"),
  cracker: panel("crackers", true, "cracker"),
  yogurt: panel("yogurt", true, "yogurt"),
  ketchup: panel("ketchup", false, "ketchup", 5),
  tuna: panel("tuna", false, "tuna", 5),
  electricity: panel("contracts for electricity (stated)", false, "electricity"),
  train: panel("train tickets (stated)", false, "train"),
  swissmetro: panel("modes of travel (stated)", false, "swissmetro"),
  "rate-static": film("ratings of films, our text vectors", true, {
    set: SMALL,
    space: "static",
    ask: "genre",
    ratings: true,
  }),
  "rate-cf": film("ratings of films, collaborative vectors", true, {
    set: SMALL,
    space: "cf",
    ask: "genre",
    ratings: true,
  }),
  "100k-rate": film("MovieLens 100K, ratings, collaborative vectors", false, {
    set: K100,
    space: "cf",
    ask: "genre",
    ratings: true,
  }),
  lecturers: { title: "ratings of lecturers", shaped: true, make: lecturerProblem },
};

/** Names of the problems whose vectors are there; MiniLM's need its model. */
export function availableProblems(): string[] {
  const hasMiniLm = existsSync(join(CACHE, `${SMALL}.minilm.f32`));
  return Object.keys(PROBLEMS).filter((name) => hasMiniLm || !name.endsWith("minilm"));
}
