import { mean } from "../first-run.js";
import type { ParityRow } from "../parity/outputs.js";
import { table } from "./tables.js";

const TITLES: Readonly<Record<string, string>> = {
  naive: "no penalty",
  separate: "EWC, an anchor and a Fisher a task",
  online: "EWC, one anchor, Fishers added up",
  onlineDecay: "EWC, one anchor, Fishers decaying by 0.9",
  learn: "the same by `learn` and `consolidate`, Fisher taken on the way",
};

const EXPLANATION = `## Beside avalanche

Split digits once more: the same frozen network, images in the same order, adapters with the same start, plain SGD at the same rate, one
image a step, in PyTorch under avalanche-lib's own \`Naive\` and \`EWC\` (\`bench/learning/avalanche/parity.py\`; versions, hashes of the cases
and every accuracy in \`outputs.json\` beside it). Ours: \`adapt\`, \`applyUpdatesWithEwc\`, \`EwcState\`. Means over five seeds; *worst* is the
largest difference between two of the 25 accuracies of a run, of all runs.`;

const CONVENTIONS = `Where conventions differ:

- avalanche's penalty is λ Σ F (w − w*)², ours λ/2 Σ F (w − w*)² (Kirkpatrick et al. 2017, eq. 3): our λ is twice theirs for the same pull.
- avalanche takes the Fisher information in a pass over the task's data after the task, and squares the gradient of a *mini-batch's mean* loss,
  which is that of single examples at a batch size of 1 only. Ours is always of single examples, and \`learn\` takes it on the way, as a moving
  average with \`fisherDecay\`, since a request's data is gone afterwards; the last row is that.
- avalanche's decay multiplies the old sum before the new task is added, as \`onlineEwc({ gamma })\` does; our EWC++ averages old and new.
- Our pull never exceeds 1 a step (\`docs/decisions/0004-a-pull-of-at-most-one.md\`); the largest here is below that, so nothing was cut off.`;

/** Ours and avalanche's, mode by mode. */
export function paritySection(rows: readonly ParityRow[]): string {
  const modes = [...new Set(rows.map(({ mode }) => mode))];
  const lines = modes.map((mode) => {
    const runs = rows.filter((row) => row.mode === mode);
    const average = (of: (row: ParityRow) => number) => mean(runs.map(of)).toFixed(4);
    return [
      TITLES[mode] ?? mode,
      average(({ acc }) => acc.ours),
      average(({ acc }) => acc.theirs),
      average(({ bwt }) => bwt.ours),
      average(({ bwt }) => bwt.theirs),
      Math.max(...runs.map(({ worst }) => worst)).toFixed(4),
      Math.max(...runs.map(({ largestPull }) => largestPull)).toFixed(2),
    ];
  });
  const head = ["", "ACC, ours", "avalanche", "BWT, ours", "avalanche", "worst", "largest pull"];
  return [EXPLANATION, table(head, lines), CONVENTIONS].join("\n\n");
}
