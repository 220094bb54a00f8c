import type { Corpus, Keyword } from "./corpus.js";

/** A simulated person, who means one group of emoji whatever they type. */
export interface Person {
  readonly group: string;
  /** Keywords that fit several groups, this one among them, to learn from. */
  readonly learning: readonly Keyword[];
  /** The same, without a word of those. */
  readonly unseen: readonly Keyword[];
  /** Keywords that fit nothing in the group. */
  readonly elsewhere: readonly Keyword[];
}

const ELSEWHERE = 300;

/** The person of a group and a seed. */
export function personOf({ documents, keywords }: Corpus, group: string, seed: number): Person {
  const random = randomOf(seed);
  const groupsOf = (keyword: Keyword) => new Set(keyword.relevant.map((row) => documents[row]!.group));
  const ambiguous = keywords.filter((keyword) => groupsOf(keyword).size > 1 && groupsOf(keyword).has(group));
  const words = shuffled([...new Set(ambiguous.flatMap(({ text }) => text.split(" ")))], random);
  const learned = new Set(words.slice(0, words.length / 2));
  const all = (keyword: Keyword, test: (word: string) => boolean) => keyword.text.split(" ").every(test);
  return {
    group,
    learning: shuffled(
      ambiguous.filter((keyword) => all(keyword, (word) => learned.has(word))),
      random,
    ),
    unseen: ambiguous.filter((keyword) => all(keyword, (word) => !learned.has(word))),
    elsewhere: shuffled(
      keywords.filter((keyword) => !groupsOf(keyword).has(group)),
      random,
    ).slice(0, ELSEWHERE),
  };
}

/** Mulberry32 (Tommy Ettinger 2017): the same seed, the same person. */
function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A shuffled copy (Fisher and Yates). */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j]!, copy[i]!];
  }
  return copy;
}
