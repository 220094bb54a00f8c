import { parentPort, workerData } from "node:worker_threads";
import { createReplay, type Job } from "./jobs.js";
import type { SharedTask } from "./task-files.js";

const { shared, folder } = workerData as { readonly shared: SharedTask; readonly folder: string };
const replay = await createReplay(shared, folder);
parentPort!.on("message", async (job: Job) => parentPort!.postMessage(await replay(job)));
