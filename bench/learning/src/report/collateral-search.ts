import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as Plot from "@observablehq/plot";
import { ACCENT, document, INK, labels, STYLE, svg } from "./picture.js";

const FOLDER = resolve(import.meta.dirname, "../../collateral");
/** What was searched: users who ask once, and users who come back, each on two embeddings. */
export const SEARCHES = ["static", "minilm", "sessions-static", "sessions-minilm"] as const;
export type Search = (typeof SEARCHES)[number];

/** Kinds of users, in the order of the pictures. */
const USERS = {
  topics: "taste depends on the topic",
  pairs: "two preferred groups",
  compatible: "a taste a topic, session by session",
  contradicting: "contradicting tastes",
  two: "two preferred groups, session by session",
} as const;
type Users = keyof typeof USERS;

/** Names a picture has room for. */
const NAMED = 6;

/** One way to learn, on the tuning groups: gain in MRR, and change on unrelated requests in percent, by kind of user. */
type SearchRow = { readonly label: string } & {
  readonly [U in Users]?: { readonly gain: number; readonly unrelated: number };
};

interface Found {
  readonly label: string;
  readonly users: Users;
  readonly gain: number;
  readonly unrelated: number;
}

/** Everything that was tried in a search of `bench/learning/collateral`; null where it was not. */
export function loadSearch(search: Search): readonly SearchRow[] | null {
  const file = join(FOLDER, `results-${search}.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null;
}

/** Gain against collateral of all that was tried, one picture a kind of user; what nothing beats in both is dark. */
export function searchPlot(rows: readonly SearchRow[]): string {
  const kinds = (Object.keys(USERS) as Users[]).filter((users) => rows.some((row) => row[users] !== undefined));
  const found = kinds.flatMap((users) =>
    rows.flatMap(({ label, ...row }): Found[] => (row[users] === undefined ? [] : [{ label, users, ...row[users] }])),
  );
  const lowest = Math.max(-6, Math.min(-2.5, ...found.map(({ unrelated }) => unrelated)));
  const highest = Math.max(0.5, ...found.map(({ unrelated }) => unrelated + 0.2));
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
  const named = kinds.flatMap((users) =>
    unbeaten
      .filter((one) => one.users === users)
      .toSorted((a, b) => b.gain - a.gain)
      .slice(0, NAMED),
  );
  const place = { x: "gain", y: "unrelated", fy: "users" } as const;
  return svg(
    Plot.plot({
      document,
      width: 900,
      height: 380 * kinds.length,
      marginLeft: 60,
      marginRight: 200,
      marginTop: 30,
      style: STYLE,
      grid: true,
      x: { label: "gain in MRR on unseen queries", nice: true },
      y: { label: "unrelated requests, change in %", domain: [lowest, highest], clamp: true },
      fy: { axis: null },
      marks: [
        Plot.frame({ stroke: "#e7e5e4" }),
        Plot.text(kinds, {
          text: (users: Users) => USERS[users],
          fy: (users: Users) => users,
          frameAnchor: "top-right",
          dx: -6,
          dy: 6,
          fill: INK,
          fontWeight: "bold",
        }),
        Plot.ruleY([-2], { stroke: "#b45309", strokeDasharray: "4 3" }),
        Plot.dot(found, { ...place, fill: "#a8a29e", r: 3 }),
        Plot.dot(unbeaten, { ...place, fill: ACCENT, r: 4 }),
        labels(named, { ...place, text: "label" }),
      ],
    }),
  );
}
