import { writeFileSync } from "node:fs";
import { createGauss, createRandom, dotRow, matrixOf, row, toUnit } from "@microlora/evaluate";

/** A log that is made up: how much the users' taste counts in what they choose. */
export interface Planted {
  readonly users: number;
  readonly events: number;
  /** 0 for choices at random. */
  readonly taste: number;
}

const DOCUMENTS = 120;
const WIDTH = 16;
const SHOWN = 10;
const QUERIES = 4;

/**
 * Writes a log and its documents, as vectors: each user likes a direction of their own, and chooses what lies furthest in it among ten
 * documents near the query; without taste, one of the ten at random.
 */
export function plantLog(log: string, documents: string, { users, events, taste }: Planted): void {
  const random = createRandom(3);
  const gauss = createGauss(random);
  const direction = () => toUnit(Float32Array.from({ length: WIDTH }, () => gauss()));
  const items = matrixOf(Array.from({ length: DOCUMENTS }, direction));
  const queries = Array.from({ length: QUERIES }, direction);
  const vectorOf = (vector: Float32Array) => [...vector].map((value) => Number(value.toFixed(5)));
  const lines: string[] = [];
  for (let user = 0; user < users; user++) {
    const liked = Float64Array.from(direction());
    for (let time = 0; time < events; time++) {
      const query = queries[Math.floor(random() * QUERIES)]!;
      const shown = Array.from({ length: SHOWN }, () => Math.floor(random() * DOCUMENTS));
      const ids = [...new Set(shown)];
      const score = (i: number) => (taste === 0 ? random() : taste * dotRow(items, i, liked) + 0.1 * gauss());
      const chosen = ids.map((i) => [score(i), i] as const).sort(([a], [b]) => b - a)[0]![1];
      lines.push(
        JSON.stringify({
          user: `u${user}`,
          time,
          query: vectorOf(query),
          shown: ids.map((i) => `d${i}`),
          chosen: `d${chosen}`,
        }),
      );
    }
  }
  writeFileSync(log, `${lines.join("\n")}\n`);
  const rows = Array.from({ length: DOCUMENTS }, (_, i) =>
    JSON.stringify({ id: `d${i}`, vector: vectorOf(row(items, i)) }),
  );
  writeFileSync(documents, `${rows.join("\n")}\n`);
}
