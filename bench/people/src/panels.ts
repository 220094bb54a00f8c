import { centroid, createGauss, createRandom, matrixOf, toUnit } from "@microlora/evaluate";
import { type Panel, readJson } from "./files.js";
import type { Problem } from "./problem.js";

const WIDTH = 32;

/**
 * People who take one of a few offers again and again; all that they could choose from is known. An offer is its brand's
 * random direction plus each attribute times the attribute's.
 * @param least choices that a person must have made
 */
export function panelProblem(name: string, least = 6): Problem {
  const panel = readJson<Panel>(name);
  const gauss = createGauss(createRandom(7));
  const basis = Array.from({ length: panel.brands + panel.attributes }, () =>
    toUnit(Float32Array.from({ length: WIDTH }, () => gauss())),
  );
  const vectors: Float32Array[] = [];
  const brandOf: number[] = [];
  const rows = new Map<string, number>();
  const itemOf = (brand: number, attributes: readonly number[]): number => {
    const key = [brand, ...attributes].join();
    const known = rows.get(key);
    if (known !== undefined) return known;
    const vector = Float32Array.from(basis[brand]!);
    for (const [a, value] of attributes.entries()) {
      const direction = basis[panel.brands + a]!;
      for (let i = 0; i < WIDTH; i++) vector[i]! += value * direction[i]!;
    }
    rows.set(key, vectors.length);
    brandOf.push(brand);
    return vectors.push(toUnit(vector)) - 1;
  };
  const events = panel.users.map(({ split, events }) => ({
    split,
    choices: events.map(({ chosen, brands, attributes }) => {
      const shown = Int32Array.from(brands, (brand, i) => itemOf(brand, attributes[i]!));
      return { chosen: shown[chosen]!, shown, topic: 0 };
    }),
  }));
  const items = matrixOf(vectors);
  const train = events.filter(({ split }) => split === "train");
  const chosen = train.flatMap(({ choices }) => choices.map((choice) => choice.chosen));
  const query = centroid(items, chosen);
  const counts = new Float64Array(panel.brands);
  for (const item of chosen) counts[brandOf[item]!]!++;
  return {
    items,
    people: events
      .filter(({ choices }) => choices.length >= least)
      .map(({ split, choices }) => ({ split, choices: choices.map((choice) => ({ ...choice, query })) })),
    popularity: Float64Array.from(brandOf, (brand) => counts[brand]!),
    named: null,
    indexed: false,
    rated: false,
  };
}
