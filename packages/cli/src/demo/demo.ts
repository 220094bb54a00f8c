import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";
import { bar, type Terminal } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";
import { type Corpus, type Keyword, loadCorpus } from "./corpus.js";
import { type Person, personOf } from "./person.js";

export const DEMO_USAGE = `Usage: microlora [demo] [options]     in a clone of the repository: npm start -- [options]

  --group NAME     the emoji that the person means (default "Food & Drink")
  --seed N         which words they type first (default 1)
  --json           print one JSON object as the last line`;

/** Results that the person is shown. */
const SHOWN = 20;
const EXAMPLES = 4;

/** A text model that learns one simulated person's taste, click by click. */
export async function demo(args: readonly string[], terminal: Terminal): Promise<void> {
  const options = parseOptions(args);
  if (options === null) return terminal.print(DEMO_USAGE);
  terminal.status("Embedding …");
  const embedder = await loadEmbedder();
  const corpus = loadCorpus(embedder);
  const groups = [...new Set(corpus.documents.map(({ group }) => group))];
  if (!groups.includes(options.group)) {
    throw new UsageError(`There is no group ${JSON.stringify(options.group)}; there are ${groups.join(", ")}`);
  }
  using index = await EmbeddingIndex.create(corpus.vectors.map((vector, row) => [row, vector] as const));
  using user = await Personalizer.create({ dimensions: embedder.dimensions });
  const person = personOf(corpus, options.group, options.seed);
  printPerson(terminal, corpus, person);

  const before = measure(corpus, index, user, person);
  const microseconds = learn(corpus, index, user, person, terminal);
  const after = measure(corpus, index, user, person);
  const bytes = user.toBytes().length;
  printOutcome(terminal, corpus, { before, after, microseconds, bytes, clicks: user.clicks });
  if (options.json) terminal.print(JSON.stringify(jsonOf(options, user.clicks, before, after, microseconds, bytes)));
}

function parseOptions(args: readonly string[]) {
  const { values } = parsed(() =>
    parseArgs({
      args: [...args],
      options: {
        group: { type: "string", default: "Food & Drink" },
        seed: { type: "string", default: "1" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }),
  );
  if (values.help) return null;
  const seed = Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0) throw new UsageError(`--seed takes a whole number, not ${values.seed}`);
  return { group: values.group, seed, json: values.json };
}

/** How well the person finds what they mean. */
interface Measured {
  /** Mean reciprocal rank of the person's group, for words that share none with those learned from. */
  readonly mrr: number;
  /** The same of what fits, for words that have nothing to do with the group. */
  readonly elsewhere: number;
  /** Rank and first results of each unseen word. */
  readonly unseen: readonly { readonly keyword: Keyword; readonly rank: number; readonly first: readonly number[] }[];
}

function measure(corpus: Corpus, index: EmbeddingIndex<number>, user: Personalizer, person: Person): Measured {
  const found = (keyword: Keyword, fits: (row: number) => boolean) => {
    const hits = user.search(keyword.vector, index, index.size);
    return { keyword, rank: 1 + hits.findIndex(({ id }) => fits(id)), first: hits.slice(0, 5).map(({ id }) => id) };
  };
  const inGroup = (keyword: Keyword) => (row: number) =>
    keyword.relevant.includes(row) && corpus.documents[row]!.group === person.group;
  const unseen = person.unseen.map((keyword) => found(keyword, inGroup(keyword)));
  const others = person.elsewhere.map((keyword) => found(keyword, (row) => keyword.relevant.includes(row)));
  const mrr = (all: readonly { rank: number }[]) => all.reduce((sum, { rank }) => sum + 1 / rank, 0) / all.length;
  return { mrr: mrr(unseen), elsewhere: mrr(others), unseen };
}

/** Each word is typed once; the first result that the person means is clicked. Returns the median time of a click. */
function learn(
  corpus: Corpus,
  index: EmbeddingIndex<number>,
  user: Personalizer,
  { learning, group }: Person,
  terminal: Terminal,
): number {
  const times: number[] = [];
  for (const [i, { vector, relevant }] of learning.entries()) {
    const shown = user.search(vector, index, SHOWN).map(({ id }) => id);
    const chosen = shown.find((row) => relevant.includes(row) && corpus.documents[row]!.group === group);
    if (chosen === undefined) continue;
    const start = performance.now();
    user.learn({ query: vector, chosen, shown, index });
    times.push(1000 * (performance.now() - start));
    terminal.status(`learning ${bar((i + 1) / learning.length)} ${user.clicks} clicks`);
  }
  return times.sort((a, b) => a - b)[times.length >> 1] ?? 0;
}

function printPerson(terminal: Terminal, { documents, keywords }: Corpus, { group, learning, unseen }: Person): void {
  const many = (n: number) => n.toLocaleString("en-US");
  terminal.print(terminal.style("bold", "\nAn emoji search that learns one person's taste"));
  terminal.print(`${many(documents.length)} emoji, found by name. ${many(keywords.length)} words to ask for them.\n`);
  const words = learning.slice(0, 5).map(({ text }) => text);
  terminal.print(`This person means ${terminal.style("cyan", group)}, whatever they type: ${words.join(", ")} …`);
  terminal.print(
    `They type ${learning.length} words and click. Then ${unseen.length} words they never typed are tried.`,
  );
}

interface Outcome {
  readonly before: Measured;
  readonly after: Measured;
  readonly microseconds: number;
  readonly bytes: number;
  readonly clicks: number;
}

function printOutcome(terminal: Terminal, corpus: Corpus, outcome: Outcome): void {
  const { before, after, microseconds, bytes, clicks } = outcome;
  terminal.status("");
  terminal.print(`\nWords they never typed, before and after ${clicks} clicks:\n`);
  const emoji = (rows: readonly number[]) => rows.map((row) => corpus.documents[row]!.emoji).join(" ");
  const gains = after.unseen.map((now, i) => ({
    now,
    was: before.unseen[i]!,
    gain: 1 / now.rank - 1 / before.unseen[i]!.rank,
  }));
  gains.sort((a, b) => b.gain - a.gain);
  for (const { now, was } of [...gains.slice(0, EXAMPLES), gains.at(-1)!]) {
    terminal.print(
      `  ${now.keyword.text.padEnd(18)} ${emoji(was.first)}   →   ${emoji(now.first)}   (rank ${was.rank} → ${now.rank})`,
    );
  }
  const change = ((after.elsewhere / before.elsewhere - 1) * 100).toFixed(1);
  terminal.print(
    `\nMean reciprocal rank of the first emoji that they mean: ${before.mrr.toFixed(3)} → ${terminal.style("green", after.mrr.toFixed(3))}`,
  );
  terminal.print(
    `The same for words that have nothing to do with it: ${before.elsewhere.toFixed(3)} → ${after.elsewhere.toFixed(3)} (${change} %)`,
  );
  terminal.print(`One click: ${microseconds.toFixed(0)} µs. All that was learned: ${(bytes / 1024).toFixed(0)} KB.`);
  terminal.print(terminal.style("dim", "\nSearch for yourself: npm start -- try (installed: microlora try)"));
}

function jsonOf(
  { seed, group }: { readonly seed: number; readonly group: string },
  clicks: number,
  before: Measured,
  after: Measured,
  clickMicroseconds: number,
  bytes: number,
) {
  const told = ({ mrr, elsewhere }: Measured) => ({ mrr, elsewhere });
  return { seed, group, clicks, before: told(before), after: told(after), clickMicroseconds, bytes };
}
