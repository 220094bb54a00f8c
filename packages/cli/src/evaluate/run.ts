import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { EvaluateError } from "./evaluate-error.js";
import type { Job } from "./jobs.js";
import { Journal } from "./journal.js";
import type { EvaluateOptions } from "./options.js";
import { type OnStep, prepare } from "./prepare.js";
import { type Report, summarize } from "./summary.js";
import { writeTask } from "./task.js";
import { measuresOf, readTask } from "./task-files.js";
import { startThreads } from "./threads.js";
import { chooseBaselines, chooseVariant } from "./tuned.js";
import { variantsFor } from "./variants.js";

/** Where and how a run works; nothing of it changes the result. */
export interface RunOptions {
  /** A folder that a run which was stopped goes on from; null for one that is removed at the end. */
  readonly work: string | null;
  readonly threads: number;
  readonly onStep: OnStep;
}

/** Changes when files of work are no longer what they were. */
const VERSION = 1;

/** Evaluates a log. @throws EvaluateError */
export async function evaluateLog(options: EvaluateOptions, { work, threads, onStep }: RunOptions): Promise<Report> {
  const folder = work ?? mkdtempSync(join(tmpdir(), "microlora-evaluate-"));
  try {
    await prepareOnce(options, folder, onStep);
    return await replay(folder, threads, onStep);
  } finally {
    if (work === null) rmSync(folder, { recursive: true, force: true });
  }
}

async function prepareOnce(options: EvaluateOptions, folder: string, onStep: OnStep): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const mark = join(folder, "evaluation.json");
  const key = keyOf(options);
  if (!existsSync(mark)) {
    if (readdirSync(folder).length > 0) {
      throw new EvaluateError("wrong-work-folder", folder, "holds other files", "Name an empty folder, or a new one");
    }
    writeFileSync(mark, JSON.stringify({ key }));
  } else if (JSON.parse(readFileSync(mark, "utf8")).key !== key) {
    const problem = "belongs to a run with other options, or to a log that has changed since";
    throw new EvaluateError("wrong-work-folder", folder, problem, "Name another folder, or repeat that call");
  }
  if (existsSync(join(folder, "task.json"))) return;
  await writeTask(await prepare(options, folder, onStep), options, folder, onStep);
}

/** The options, and the files as they are. */
function keyOf(options: EvaluateOptions): string {
  const files = [options.log, options.documents].map((path) => {
    const found = path === null ? undefined : statSync(path, { throwIfNoEntry: false });
    return found === undefined ? null : [resolve(path!), found.size, found.mtimeMs];
  });
  return createHash("sha256")
    .update(JSON.stringify([VERSION, options, files]))
    .digest("hex");
}

async function replay(folder: string, count: number, onStep: OnStep): Promise<Report> {
  const shared = readTask(folder);
  const { facts } = shared;
  const journal = new Journal(join(folder, "results.jsonl"));
  const most = Math.max(facts.tune, facts.test);
  const threads = startThreads(shared, folder, Math.max(1, Math.min(count, most)));
  const runAll = async (step: string, place: Job["place"], total: number, jobOf: (i: number) => Job) => {
    const jobs = Array.from({ length: total }, (_, i) => i).filter((i) => !journal.has(place, i));
    let done = total - jobs.length;
    onStep(step, done / total);
    await threads.run(jobs.map(jobOf), (result) => {
      journal.add(result);
      onStep(step, ++done / total);
    });
  };
  try {
    await runAll("Tuning", "tune", facts.tune, (i) => ({ place: "tune", i }));
    const baselines = chooseBaselines(measuresOf(shared).task, journal.of("tune"));
    const suggested = chooseVariant(variantsFor(facts.isRated), journal.of("tune"));
    await runAll("Replaying", "test", facts.test, (i) => ({ place: "test", i, baselines, suggested: suggested.label }));
    return summarize({ facts, baselines, suggested, results: journal.of("test") });
  } finally {
    await threads.close();
  }
}
