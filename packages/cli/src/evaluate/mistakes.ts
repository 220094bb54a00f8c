/** Rows of one kind of mistake. */
export interface MistakeKind {
  readonly problem: string;
  readonly count: number;
  /** The first few, with what was found there where that says more. */
  readonly examples: readonly { readonly line: number; readonly found: string | null }[];
}

/** Mistaken rows, counted by kind. */
export interface MistakeReport {
  readonly unit: "line" | "row";
  readonly count: number;
  readonly kinds: readonly MistakeKind[];
}

const EXAMPLES = 3;
const FOUND_LENGTH = 40;

/** Counts mistaken rows, and keeps the first few of each kind. */
export class Mistakes {
  readonly #kinds = new Map<string, { count: number; examples: { line: number; found: string | null }[] }>();
  readonly #unit: "line" | "row";
  count = 0;

  constructor(unit: "line" | "row") {
    this.#unit = unit;
  }

  /** @param problem the kind @param found what was there instead */
  add(line: number, problem: string, found?: string): void {
    this.count++;
    const kind = this.#kinds.get(problem) ?? { count: 0, examples: [] };
    kind.count++;
    if (kind.examples.length < EXAMPLES) kind.examples.push({ line, found: found?.slice(0, FOUND_LENGTH) ?? null });
    this.#kinds.set(problem, kind);
  }

  /** The most common kind in words. */
  first(): string {
    const [kind] = this.report().kinds;
    return kind === undefined ? "" : describeKind(kind, this.#unit);
  }

  report(): MistakeReport {
    const kinds = [...this.#kinds].map(([problem, kind]) => ({ problem, ...kind }));
    return { unit: this.#unit, count: this.count, kinds: kinds.sort((a, b) => b.count - a.count) };
  }
}

/** "3 × has no user (lines 2, 5, 9)". */
export function describeKind({ problem, count, examples }: MistakeKind, unit: "line" | "row"): string {
  const places = examples.map(({ line, found }) => (found === null ? `${line}` : `${line}: ${JSON.stringify(found)}`));
  const more = count > examples.length ? ", …" : "";
  return `${count} × ${problem} (${unit}${count === 1 ? "" : "s"} ${places.join(", ")}${more})`;
}
