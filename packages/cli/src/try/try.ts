import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer, type SearchHit } from "microlora";
import { type Corpus, loadCorpus } from "../demo/corpus.js";
import type { Terminal } from "../terminal.js";
import { parsed } from "../usage-error.js";

export const TRY_USAGE = `Usage: microlora try

Type words to search; type the number of the result that you meant, and the search learns from it at once.
An empty line or "quit" ends.`;

/** Results that a pick is compared with, and how many of them are listed. */
const SHOWN = 20;
const LISTED = 9;

/** The last search. */
interface Shown {
  readonly text: string;
  readonly query: Float32Array;
  readonly hits: readonly SearchHit<number>[];
}

/** A search that learns from what its user picks. */
export async function tryIt(args: readonly string[], terminal: Terminal): Promise<void> {
  if (wantsHelp(args)) {
    terminal.print(TRY_USAGE);
    return;
  }
  const embedder = await loadEmbedder();
  const corpus = loadCorpus(embedder);
  using index = await EmbeddingIndex.create(corpus.vectors.map((vector, row) => [row, vector] as const));
  using learner = await Personalizer.create({ dimensions: embedder.dimensions });
  terminal.print(`${TRY_USAGE.split("\n").slice(2).join("\n")}\n`);

  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: process.stdin.isTTY === true,
  });
  let shown: Shown | null = null;
  lines.setPrompt(terminal.style("cyan", "> "));
  lines.prompt();
  for await (const line of lines) {
    const text = line.trim();
    if (text === "" || text === "quit") break;
    const picked = shown !== null && /^\d+$/.test(text) ? shown.hits[Number(text) - 1] : undefined;
    if (picked !== undefined && shown !== null && Number(text) <= LISTED) {
      learnPick(terminal, corpus, index, learner, shown, picked);
    } else {
      const query = embedder.embed(text);
      shown = { text, query, hits: learner.search(query, index, SHOWN) };
      printHits(terminal, corpus, shown);
    }
    lines.prompt();
  }
  lines.close();
  terminal.print(`\n${learner.clicks} ${learner.clicks === 1 ? "click" : "clicks"} learned. Bye.`);
}

function learnPick(
  terminal: Terminal,
  corpus: Corpus,
  index: EmbeddingIndex<number>,
  learner: Personalizer,
  { text, query, hits }: Shown,
  picked: SearchHit<number>,
): void {
  learner.learn({ query, chosen: picked.id, shown: hits.map(({ id }) => id), index });
  const rank = 1 + learner.search(query, index, SHOWN).findIndex(({ id }) => id === picked.id);
  const { emoji, name } = corpus.documents[Number(picked.id)]!;
  const now = rank === 0 ? "is no longer shown" : `is now number ${rank}`;
  terminal.print(`  ${emoji} ${name} ${now} for “${text}”; try a related word.\n`);
}

function printHits(terminal: Terminal, corpus: Corpus, { hits }: Shown): void {
  for (const [i, { id, score }] of hits.slice(0, LISTED).entries()) {
    const { emoji, name, group } = corpus.documents[Number(id)]!;
    terminal.print(`  ${i + 1}  ${emoji}  ${name}  ${terminal.style("dim", `${group}, ${score.toFixed(2)}`)}`);
  }
}

function wantsHelp(args: readonly string[]): boolean {
  const options = { help: { type: "boolean", short: "h", default: false } } as const;
  return parsed(() => parseArgs({ args: [...args], options })).values.help;
}
