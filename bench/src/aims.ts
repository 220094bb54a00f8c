import { IN_TWOS, type Section } from "./sections.js";

/** What the project promises of its speed, and what was measured. */
export interface Aim {
  readonly what: string;
  readonly limit: string;
  readonly measured: string;
  readonly met: boolean;
}

const OPPONENTS = {
  native: "the native limit",
  original: "the original",
  peers: "the peer",
  [IN_TWOS]: IN_TWOS,
} as const;

/** Where in the report a promise is kept, or not. */
interface Promised {
  readonly what: string;
  readonly section: string;
  readonly job: RegExp;
  readonly against: keyof typeof OPPONENTS;
  /** Our time over theirs. */
  readonly atMost: number;
  /** Whose time is ours: the public API's unless it says another contender's. */
  readonly who?: string;
}

const at768 = /^768 to 768, rank 2$/;
const at4096 = /^4096 to 4096, rank 2$/;
const each = /^256 rows.* 768 to 768, rank 2$/;
const batch = /^128 rows.* 768 to 768, rank 2$/;
const any = /./;
/** Those that one job alone matches. */
const EXACT: ReadonlySet<RegExp> = new Set([at768, at4096, each, batch]);

const forward = { what: "forward", section: "Forward" };
const kernel = { what: "its kernel alone", section: "Forward", who: "microlora, kernel alone" };
const request = { what: "one request", section: "One request" };

const PROMISES: readonly Promised[] = [
  { ...forward, job: at768, against: "native", atMost: 3.5 },
  { ...kernel, job: at768, against: "native", atMost: 2.8 },
  { ...forward, job: at4096, against: "native", atMost: 1.5 },
  { ...request, job: at768, against: "native", atMost: 3 },
  { ...request, job: at4096, against: "native", atMost: 2.2 },
  { what: "an adapter each", section: "Batches", job: each, against: "native", atMost: 1.2 },
  { what: "a batch", section: "Batches", job: batch, against: "native", atMost: 1.6 },
  { what: "a higher rank", section: "Ranks", job: /^forward/, against: IN_TWOS, atMost: 1.1 },
  { what: "a higher rank", section: "Ranks", job: /^request/, against: IN_TWOS, atMost: 1.1 },
  { ...forward, job: at768, against: "original", atMost: 1 / 8 },
  { ...forward, job: any, against: "original", atMost: 1 / 8 },
  { ...request, job: at768, against: "original", atMost: 1 / 6 },
  { ...request, job: any, against: "original", atMost: 1 / 6 },
  { what: "every job of an npm peer", section: "npm peers", job: any, against: "peers", atMost: 1 },
];

/** The worst case of each promise; those whose contender is missing are left out. */
export function aimsOf(sections: readonly Section[]): Aim[] {
  return PROMISES.flatMap((promised) => {
    const { what, against, atMost } = promised;
    const worst = ratiosOf(promised, sections).reduce((a, b) => (b.ratio > a.ratio ? b : a), { job: "", ratio: 0 });
    if (worst.job === "") return [];
    const extent = EXACT.has(promised.job) ? worst.job : `worst of all: ${worst.job}`;
    const told = (ratio: number): string => text(ratio, against);
    return [
      { what: `${what} (${extent})`, limit: told(atMost), measured: told(worst.ratio), met: worst.ratio <= atMost },
    ];
  });
}

function ratiosOf({ section, job, against, who }: Promised, sections: readonly Section[]) {
  const cells = sections.filter(({ title }) => title === section).flatMap(({ cells }) => cells);
  return cells.flatMap(({ job: name, placings }) => {
    if (!job.test(name)) return [];
    const own = who === undefined ? 1 : (placings.find((placing) => placing.name === who)?.ratio.median ?? Number.NaN);
    const theirs = placings.slice(1).filter((placing) => against === "peers" || placing.name.startsWith(against));
    return theirs.map(({ ratio }) => ({ job: name, ratio: ratio.median / own }));
  });
}

/** A limit is told as a multiple of its time; what is slower, as how many times faster ours is. */
function text(ratio: number, against: keyof typeof OPPONENTS): string {
  const name = OPPONENTS[against];
  return against === "native" || against === IN_TWOS
    ? `${ratio.toFixed(2)} × the time of ${name}`
    : `${(1 / ratio).toFixed(1)} × faster than ${name}`;
}
