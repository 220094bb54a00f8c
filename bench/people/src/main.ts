/**
 * `npm run bench:people`: the library as it ships on the test people of every problem, beside every baseline, into `results/` and
 * docs/results/people.md. Options: `--only=PROBLEM,…`; `--tune` chooses the baselines' settings anew, on tune people; `--people=N`, 120 by
 * default; `--extras` measures drift, long histories, pages of ten and the shared prior alone; `--report` writes the document from the results
 * that are there.
 */
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { CACHE } from "./files.js";
import { availableProblems } from "./problems.js";
import { writeReport } from "./report.js";
import { saveResult } from "./results.js";
import { readSettings, saveSettings } from "./settings.js";
import type { Done, Job } from "./worker.js";

const ROOT = resolve(import.meta.dirname, "../../..");
const MINILM = resolve(ROOT, process.env.MINILM ?? "../shared/models/minilm");

/** Problems on which drift, long histories and the shared prior are measured. */
const WITH_EXTRAS = ["film-static", "film-minilm", "film-cf", "next-cf", "100k-cf", "grocery-kind"];

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    tune: { type: "boolean", default: false },
    people: { type: "string", default: "120" },
    extras: { type: "boolean", default: false },
    report: { type: "boolean", default: false },
  },
});

/** Does jobs on as many threads as there are cores, two at most. */
async function runAll(jobs: readonly Job[], finish: (done: Done) => void): Promise<void> {
  const queue = [...jobs];
  const threads = Array.from({ length: Math.min(2, cpus().length, jobs.length) }, async () => {
    const worker = new Worker(new URL("./worker.js", import.meta.url));
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      const start = performance.now();
      const done = await new Promise<Done>((resolveDone, reject) => {
        worker.once("message", resolveDone);
        worker.once("error", reject);
        worker.postMessage(job);
      });
      worker.removeAllListeners("error");
      finish(done);
      console.error(`${job.kind} ${job.name}: ${((performance.now() - start) / 1000).toFixed(0)} s`);
    }
    await worker.terminate();
  });
  await Promise.all(threads);
}

if (!values.report) {
  execFileSync("bash", [resolve(import.meta.dirname, "../data/install.sh"), CACHE, MINILM], { stdio: "inherit" });
  const available = availableProblems();
  const names = values.only?.split(",") ?? available;
  for (const name of names) {
    if (!available.includes(name)) throw new Error(`There is no problem ${name}; there are ${available.join(", ")}`);
  }
  const untuned = names.filter((name) => !values.extras && (values.tune || !(name in readSettings())));
  await runAll(
    untuned.map((name) => ({ kind: "tune", name })),
    (done) => done.kind === "tune" && saveSettings(done.name, done.tuned),
  );
  const settings = readSettings();
  const people = Number(values.people);
  const measured: Job[] = (values.extras ? [] : names).map((name) => ({
    kind: "measure",
    name,
    tuned: settings[name]!,
    people,
  }));
  const extras: Job[] = names.filter((name) => WITH_EXTRAS.includes(name)).map((name) => ({ kind: "extras", name }));
  await runAll([...measured, ...extras], (done) => done.kind !== "tune" && saveResult(done));
}
writeReport();
