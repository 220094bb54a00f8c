import { Worker } from "node:worker_threads";
import type { Job, JobResult } from "./jobs.js";
import type { SharedTask } from "./task-files.js";

/** Threads that share a task. */
export interface Threads {
  /** Does jobs in any order. @param onResult told of each that is done */
  run(jobs: readonly Job[], onResult: (result: JobResult) => void): Promise<void>;
  close(): Promise<void>;
}

export function startThreads(shared: SharedTask, folder: string, count: number): Threads {
  const url = new URL("./worker.js", import.meta.url);
  const workers = Array.from({ length: count }, () => new Worker(url, { workerData: { shared, folder } }));
  return {
    async run(jobs, onResult) {
      const queue = [...jobs];
      await Promise.all(
        workers.map(async (worker) => {
          for (let job = queue.shift(); job !== undefined; job = queue.shift()) onResult(await answer(worker, job));
        }),
      );
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

function answer(worker: Worker, job: Job): Promise<JobResult> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      worker.off("message", done);
      worker.off("error", failed);
      action();
    };
    const done = (result: JobResult) => settle(() => resolve(result));
    const failed = (error: unknown) => settle(() => reject(error));
    worker.on("message", done);
    worker.on("error", failed);
    worker.postMessage(job);
  });
}
