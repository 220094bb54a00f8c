import type { Trial } from "./problem.js";

const JOINT_EPOCHS = 3;

/** Quality on the test requests of each task: row 0 before anything, row s after session s. */
export type Matrix = readonly (readonly number[])[];

/** What one setting did for one seeded user. */
export interface Outcome {
  readonly matrix: Matrix;
  /** Quality on requests that have nothing to do with what was learned. */
  readonly unrelated: { readonly before: number; readonly after: number };
  readonly bytes: number;
  readonly microseconds: number;
  readonly extra?: Readonly<Record<string, number>>;
}

/** One task after the other, each in a session of its own; or all at once, whose quality then stands for each session's. */
export async function runTrial(trial: Trial, joint: boolean): Promise<Outcome> {
  const before = await trial.measureUnrelated();
  const matrix = [await trial.measure()];
  if (joint) {
    await learnJointly(trial);
    const after = await trial.measure();
    for (let task = 0; task < trial.tasks; task++) matrix.push(after);
  } else {
    for (let task = 0; task < trial.tasks; task++) {
      await learnTask(trial, task);
      matrix.push(await trial.measure());
    }
  }
  const unrelated = { before, after: await trial.measureUnrelated() };
  const bytes = await trial.bytes();
  const extra = trial.goOn?.();
  const outcome = { matrix, unrelated, bytes, microseconds: trial.microseconds() };
  return extra === undefined ? outcome : { ...outcome, extra };
}

/** The last row of the matrix alone, which is all that tuning looks at. */
export async function finalQuality(trial: Trial, joint: boolean): Promise<readonly number[]> {
  if (joint) await learnJointly(trial);
  else for (let task = 0; task < trial.tasks; task++) await learnTask(trial, task);
  return trial.measure();
}

/** Several times over, as training on data that was collected can. */
async function learnJointly(trial: Trial): Promise<void> {
  for (let epoch = 0; epoch < JOINT_EPOCHS; epoch++) await trial.learnAll();
}

async function learnTask(trial: Trial, task: number): Promise<void> {
  await trial.learn(task);
  await trial.endTask();
}
