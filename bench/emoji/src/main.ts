import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { loadEmbedder } from "@microlora/embed";
import type { Personalizer } from "microlora";
import { type Corpus, embedCorpus, loadCorpus } from "./corpus.js";
import { pickExamples } from "./examples.js";
import { Experiment, type RowName } from "./experiment.js";
import type { FeedbackTime } from "./feedback-time.js";
import { SESSIONS, TASK } from "./hyperparameters.js";
import { groupsAmong, type Options, parseOptions, USAGE } from "./options.js";
import { type Reload, reload } from "./reload.js";
import type { ReportData } from "./report.js";
import { jsonOf, meanScores, type Scores, type SessionResults, type Summary, summarise } from "./results.js";
import { meanMatrix, type SessionMatrix } from "./sessions.js";
import { LABELS, printExamples, printScores, printSessions, watchedSentences } from "./tables.js";
import { swapHalves, type Task } from "./task.js";
import { bar, createTerminal, type Terminal } from "./terminal.js";
import { UsageError } from "./usage-error.js";
import type { Watched } from "./watched.js";

/** One seeded person's taste, learned click by click, beside simple baselines, with its cost elsewhere. */
async function main(args: readonly string[], terminal: Terminal): Promise<void> {
  const corpus = loadCorpus();
  const options = parseOptions(args, corpus.groups);
  if (options === "help") {
    terminal.print(USAGE);
    return;
  }
  terminal.status("Embedding …");
  const embedded = embedCorpus(corpus, await loadEmbedder());
  const experiment = await Experiment.create(embedded, {
    ...options,
    among: groupsAmong(options.among, corpus.groups),
  });
  printTitle(terminal, corpus);

  const task = experiment.task(options.seed);
  printTaste(terminal, experiment, task, options);
  const learned = await experiment.learn("all", task, options.seed, (clicks) =>
    terminal.status(`learning ${bar(clicks / task.learning.length)} ${clicks} clicks`),
  );
  using learner = learned.learner;
  const time = await experiment.feedbackTime(learned);

  const seeds = Array.from({ length: options.seeds }, (_, i) => options.seed + i);
  const summary = await tellScores(experiment, task, seeds, terminal);
  terminal.print("\nUnseen queries that gained most, and the one that lost most:\n");
  const examples = pickExamples(embedded, experiment.index, experiment.evaluator, task, learner);
  printExamples(terminal, examples);
  const sessions = await tellSessions(experiment, seeds, terminal);
  const watched = await tellStream(experiment, task, options.seed, terminal);
  const reloaded = await tellCost(experiment, task, { learner, time }, terminal);

  const findings = { options, task, summary, sessions, watched, time, reloaded, examples };
  if (options.report !== null) await writeReport(options.report, experiment, findings, terminal);
  if (options.json) {
    const { seed, among, group } = options;
    const run = { seed, seeds: options.seeds, among, ...(group !== undefined && { group }) };
    terminal.print(JSON.stringify(jsonOf(run, summary, time, reloaded.bytes, sessions)));
  }
}

function printTitle(terminal: Terminal, { documents, keywords }: Corpus): void {
  terminal.print(terminal.style("bold", "\nmicrolora: emoji search that learns one person's taste"));
  terminal.print(
    `${count(documents.length)} emoji found by name, ${count(keywords.length)} keywords to ask for them; ` +
      "each embedded once, never again.\n",
  );
}

function printTaste(terminal: Terminal, { corpus }: Experiment, task: Task, { group }: Options): void {
  if (group !== undefined) {
    terminal.print(
      `This user always means ${terminal.style("cyan", group)}, and clicks only what is among the ${TASK.shown} results shown.`,
    );
    return;
  }
  terminal.print(
    `What this user means depends on the topic; they click only what is among the ${TASK.shown} results shown:`,
  );
  for (const [topic, preferred] of task.taste.entries()) {
    const words = task.learning
      .filter((query) => query.topic === topic)
      .map(({ keyword }) => corpus.keywords[keyword]!.text);
    terminal.print(`  ${words.slice(0, 4).join(", ")} …  →  ${terminal.style("cyan", preferred)}`);
  }
}

/** Every row of the table, over all users. */
async function tellScores(
  experiment: Experiment,
  task: Task,
  seeds: readonly number[],
  terminal: Terminal,
): Promise<Summary> {
  const many = seeds.length > 1;
  const runs: Scores[] = [];
  for (const seed of seeds) runs.push(await scoresOfUser(experiment, seed, many, terminal));
  const summary = summarise(runs);
  terminal.print(
    `\nLearned from ${summary.all.clicks.toFixed(0)} clicks${many ? ` a user (${seeds.length} users, each half of the queries in turn)` : ""}; ` +
      `tested on ${task.unseen.length} queries that share no word stem with them,`,
  );
  terminal.print(`and on ${task.unrelated.length} keywords that have nothing to do with the taste (unrelated).\n`);
  printScores(terminal, summary, seeds.length);
  return summary;
}

/** With `bothWays`, the mean of learning from each half and testing on the other: the same user, a narrower interval. */
async function scoresOfUser(
  experiment: Experiment,
  seed: number,
  bothWays: boolean,
  terminal: Terminal,
): Promise<Scores> {
  const task = experiment.task(seed);
  const onRow = (row: RowName) => terminal.status(`measuring: seed ${seed}, ${LABELS[row]}`);
  const scores = [await experiment.scores(task, seed, onRow)];
  if (bothWays) scores.push(await experiment.scores(swapHalves(task), seed, onRow));
  return meanScores(scores);
}

/** Four preferences one after the other, with EWC and without. */
async function tellSessions(
  experiment: Experiment,
  seeds: readonly number[],
  terminal: Terminal,
): Promise<SessionResults> {
  const withEwc: SessionMatrix[] = [];
  const withoutEwc: SessionMatrix[] = [];
  for (const seed of seeds) {
    terminal.status(`sessions: seed ${seed}`);
    withEwc.push(await experiment.sessions(seed, SESSIONS.ewcLambda));
    withoutEwc.push(await experiment.sessions(seed, 0));
  }
  const sessions = { withEwc: meanMatrix(withEwc), withoutEwc: meanMatrix(withoutEwc) };
  terminal.print(
    `\nFour preferences one after the other (${SESSIONS.users * seeds.length} users, slow weights alone), MRR on unseen queries:\n`,
  );
  printSessions(terminal, sessions);
  return sessions;
}

/** The boundary detector and the guard on one stream. */
async function tellStream(experiment: Experiment, task: Task, seed: number, terminal: Terminal): Promise<Watched> {
  terminal.status("watching a stream …");
  const watched = await experiment.watched(task, seed);
  terminal.print(
    "\nOne such user without EWC, and without a word on where a preference ends or which clicks are bad:\n",
  );
  for (const sentence of watchedSentences(watched)) terminal.print(`  ${sentence}`);
  return watched;
}

/** What a click takes in time, and a user in bytes. */
async function tellCost(
  { corpus, index }: Experiment,
  task: Task,
  { learner, time }: { readonly learner: Personalizer; readonly time: FeedbackTime },
  terminal: Terminal,
): Promise<Reload> {
  const queries = task.unseen.map(({ keyword }) => corpus.keywordVectors[keyword]!);
  const reloaded = await reload(learner, index, queries);
  terminal.print(
    `\nOne feedback call: ${time.p50.toFixed(1)} µs (p50), ${time.p99.toFixed(1)} µs (p99). ` +
      `All that was learned: ${(reloaded.bytes / 1024).toFixed(0)} KB.`,
  );
  terminal.print(
    `Saved and loaded again: ${reloaded.same} of ${reloaded.queries} queries answered the same, bit for bit.`,
  );
  return reloaded;
}

async function writeReport(
  path: string,
  experiment: Experiment,
  findings: Omit<ReportData, "curve">,
  terminal: Terminal,
): Promise<void> {
  terminal.status("Drawing the report …");
  const { renderReport } = await import("./report.js");
  const { task, options } = findings;
  const curve = [
    ...(await experiment.curve("all", task, options.seed)),
    ...(await experiment.curve("offset", task, options.seed)),
  ];
  await writeFile(path, renderReport({ ...findings, curve }));
  terminal.print(`Report: ${resolve(path)}`);
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}

try {
  await main(process.argv.slice(2), createTerminal());
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
