import { mean } from "./first-run.js";
import type { Matrix } from "./trial.js";

/** The figures of one run of a sequence of tasks; quality is a share of 1. */
export interface Figures {
  /** Mean quality over all tasks before anything was learned. */
  readonly base: number;
  /** Mean quality over all tasks after the last session (ACC, Lopez-Paz and Ranzato 2017, eq. 2). */
  readonly acc: number;
  /** Mean over all but the last task of its final quality minus that after its own session (BWT, the same, eq. 3). */
  readonly bwt: number;
  /** Mean over all but the last task of its best quality ever minus its final one (Chaudhry et al. 2018, eq. 3). */
  readonly forgetting: number;
  /** Mean quality of a task right after its own session. */
  readonly learning: number;
  /** Quality of the last task at the end. */
  readonly newest: number;
  /** Mean quality of all but the last task at the end. */
  readonly rest: number;
}

export function figuresOf(matrix: Matrix): Figures {
  const tasks = [...(matrix[0]?.keys() ?? [])];
  const quality = (session: number, task: number) => matrix[session]![task]!;
  const last = tasks.length;
  const older = tasks.slice(0, -1);
  const best = (task: number) => Math.max(...matrix.map((row) => row[task]!));
  return {
    base: mean(tasks.map((task) => quality(0, task))),
    acc: mean(tasks.map((task) => quality(last, task))),
    bwt: mean(older.map((task) => quality(last, task) - quality(task + 1, task))),
    forgetting: mean(older.map((task) => best(task) - quality(last, task))),
    learning: mean(tasks.map((task) => quality(task + 1, task))),
    newest: quality(last, last - 1),
    rest: mean(older.map((task) => quality(last, task))),
  };
}
