import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as Plot from "@observablehq/plot";
import { ACCENT, document, INK, STYLE, svg } from "./picture.js";

const FOLDER = resolve(import.meta.dirname, "../../collateral");
export const EMBEDDINGS = ["static", "minilm"] as const;
type Embedding = (typeof EMBEDDINGS)[number];

/** One way to learn, on the tuning groups: gain in MRR, and change on unrelated requests in percent, by kind of user. */
type SearchRow = { readonly label: string } & {
  readonly [E in Embedding]?: Readonly<Record<string, { readonly gain: number; readonly unrelated: number }>>;
};

interface Found {
  readonly label: string;
  readonly users: string;
  readonly gain: number;
  readonly unrelated: number;
}

const USERS: Readonly<Record<string, string>> = {
  topics: "taste depends on the topic",
  pairs: "two preferred groups",
  uniform: "one preferred group",
};

/** Everything that was tried in `bench/learning/collateral`, or nothing where that was not run. */
export function loadSearch(): readonly SearchRow[] {
  if (!existsSync(FOLDER)) return [];
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
  return files.flatMap((name) => JSON.parse(readFileSync(join(FOLDER, name), "utf8")) as SearchRow[]);
}

/** Gain against collateral of all that was tried, one picture a kind of user; what nothing beats in both is named. */
export function searchPlot(rows: readonly SearchRow[], embedding: Embedding): string {
  const found = rows.flatMap(({ label, [embedding]: kinds = {} }) =>
    Object.entries(kinds).map(([users, figures]): Found => ({ label, users, ...figures })),
  );
  const unbeaten = found.filter(
    (one) =>
      !found.some(
        (other) =>
          other.users === one.users &&
          other.gain >= one.gain &&
          other.unrelated >= one.unrelated &&
          (other.gain > one.gain || other.unrelated > one.unrelated),
      ),
  );
  const place = { x: "gain", y: "unrelated", fy: "users" } as const;
  return svg(
    Plot.plot({
      document,
      width: 900,
      height: 900,
      marginLeft: 60,
      marginRight: 260,
      marginTop: 30,
      style: STYLE,
      grid: true,
      x: { label: "gain in MRR on unseen queries", nice: true },
      y: { label: "unrelated requests, change in %", domain: [-6, 0.5], clamp: true },
      fy: { axis: null },
      marks: [
        Plot.frame({ stroke: "#e7e5e4" }),
        Plot.text([...new Set(found.map(({ users }) => users))], {
          text: (users: string) => USERS[users] ?? users,
          fy: (users: string) => users,
          frameAnchor: "top-right",
          dx: -6,
          dy: 6,
          fill: INK,
          fontWeight: "bold",
        }),
        Plot.ruleY([-2], { stroke: "#b45309", strokeDasharray: "4 3" }),
        Plot.dot(found, { ...place, fill: "#a8a29e", r: 3 }),
        Plot.dot(unbeaten, { ...place, fill: ACCENT, r: 4 }),
        Plot.text(unbeaten, { ...place, text: "label", dx: 7, textAnchor: "start", fill: INK, fontSize: 9 }),
      ],
    }),
  );
}
