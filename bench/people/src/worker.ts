import { parentPort } from "node:worker_threads";
import type { Tuned } from "@microlora/evaluate";
import { type Extras, measureExtras } from "./extras.js";
import { measure, type Result } from "./measure.js";
import { PROBLEMS } from "./problems.js";
import { tune } from "./tuning.js";

/** What a worker does with one problem. */
export type Job =
  | { readonly kind: "tune"; readonly name: string }
  | { readonly kind: "measure"; readonly name: string; readonly tuned: Tuned; readonly people: number }
  | { readonly kind: "extras"; readonly name: string };

export type Done =
  | { readonly kind: "tune"; readonly name: string; readonly tuned: Tuned }
  | { readonly kind: "measure"; readonly name: string; readonly result: Result }
  | { readonly kind: "extras"; readonly name: string; readonly extras: Extras };

async function run(job: Job): Promise<Done> {
  const { kind, name } = job;
  const problem = await PROBLEMS[name]!.make();
  if (kind === "tune") return { kind, name, tuned: tune(problem) };
  if (kind === "extras") return { kind, name, extras: await measureExtras(problem) };
  return { kind, name, result: await measure(problem, job.tuned, job.people) };
}

parentPort?.on("message", async (job: Job) => parentPort!.postMessage(await run(job)));
