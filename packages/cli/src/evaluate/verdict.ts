import { BUDGET, type Row } from "@microlora/evaluate";
import type { Report } from "./summary.js";
import { change, count, fixed, intervalOf, percent, signed } from "./words.js";

/** What a run comes to, in plain words. */
export interface Verdict {
  readonly answer: "gains" | "nothing" | "harms" | "unclear";
  /** One sentence. */
  readonly headline: string;
  /** What speaks for and against, a sentence or two each. */
  readonly findings: readonly string[];
  /** Where an offline replay of this log misleads. */
  readonly cautions: readonly string[];
}

/** Gains below this are not worth a dependency. */
const WORTHWHILE = 0.005;
/** Half the width of an interval above which nothing can be said. */
const WIDE = 0.05;
/** Share of users who lose from which on a report says so first. */
const MANY_LOSE = 0.25;
const OFTEN_FIRST = 0.4;

type Found = Omit<Report, "verdict">;

export function verdictOf(found: Found): Verdict {
  const { rows, people, base } = found;
  const { gain } = rows[0]!;
  const answer = answerOf(gain);
  const unit = found.measure === "MRR" ? "in mean reciprocal rank" : "in pairs of ratings told apart";
  const from = `from ${fixed(base.heldOut)} to ${fixed(base.heldOut + gain.mean)}`;
  const users = count(people, "user");
  const headline = {
    gains: `The default gains ${intervalOf(gain)} ${unit}, ${from}, for ${users}.`,
    nothing: `There is nothing to gain here: ${intervalOf(gain)} ${unit} for ${users}. Do not build it in for this.`,
    harms: `The default harms: ${intervalOf(gain)} ${unit}, ${from}, for ${users}. Do not use it for this.`,
    unclear: `This log is too small to tell: ${intervalOf(gain)} ${unit} for ${users}. Log for longer, or for more users.`,
  }[answer];
  return { answer, headline, findings: findingsOf(found, answer), cautions: cautionsOf(found) };
}

function answerOf({ mean, low, high }: Row["gain"]): Verdict["answer"] {
  if (low > 0 && mean >= WORTHWHILE) return "gains";
  if (high < 0) return "harms";
  return (high - low) / 2 > WIDE ? "unclear" : "nothing";
}

function findingsOf(found: Found, answer: Verdict["answer"]): string[] {
  const { users, rows } = found;
  const findings = [
    `${percent(users.helped)} of users find what they chose better than before, ${percent(users.same)} as well, ${percent(users.harmed)} worse.`,
    ...besideBaselines(rows),
    ...costs(found),
  ];
  if (answer === "gains" && users.harmed >= MANY_LOSE) {
    findings.push("Many users lose a little: leave a switch to turn it off (`user.enabled = false`).");
  }
  return [...findings, ...curveFinding(found)];
}

const isOurs = ({ label }: Row) => label.startsWith("MicroLoRA");
const isCheap = ({ names, halves }: Row) => (names ?? 0) >= BUDGET && (halves ?? 0) >= BUDGET;

function besideBaselines(rows: readonly Row[]): string[] {
  const best = (some: readonly Row[]) =>
    some.reduce<Row | null>((a, row) => (a === null || row.gain.mean > a.gain.mean ? row : a), null);
  const baselines = rows.filter((row) => !isOurs(row));
  const cheap = best(baselines.filter(isCheap));
  const free = best(baselines);
  const findings: string[] = [];
  if (cheap === null) findings.push("Every simple baseline costs more than 2 % by name.");
  else findings.push(`Beside the best simple baseline at the same cost, ${beside(cheap)}`);
  if (free !== null && free !== cheap && free.oursAbove.high < 0) {
    findings.push(
      `${capital(free.label)} gains more, ${signed(free.gain.mean)}, and changes finding by name by ${change(free.names)}, by half a name by ${change(free.halves)}.`,
    );
  }
  return findings;
}

function beside({ label, gain, oursAbove }: Row): string {
  const name = `${label} (${signed(gain.mean)})`;
  if (oursAbove.low > 0) return `${name}, the default is better by ${intervalOf(oursAbove)}.`;
  if (oursAbove.high < 0) {
    return `${name}, the default is worse by ${intervalOf({ mean: -oursAbove.mean, low: -oursAbove.high, high: -oursAbove.low })}.`;
  }
  return `${name}, no difference is certain: ${intervalOf(oursAbove)}.`;
}

function costs({ rows, someoneElse, drift, facts, measure }: Found): string[] {
  const [{ names, halves, otherTopics }] = rows as readonly [Row, ...Row[]];
  const findings: string[] = [];
  if (names !== null) {
    const isDear = !isCheap(rows[0]!);
    const what = facts.namesAreNoisy
      ? "Finding a document by a query close to its vector"
      : "Finding a document by its name";
    findings.push(
      `${what} changes by ${change(names)}, by half of it by ${change(halves)}.${isDear ? " Do not use it where people look for known things." : ""}`,
    );
  }
  if (otherTopics !== null && measure === "MRR") {
    const isHarmful = otherTopics < -WORTHWHILE;
    findings.push(
      `On kinds of queries that it did not learn from the change is ${signed(otherTopics)}.${isHarmful ? " Do not use it where interests vary." : ""}`,
    );
  }
  findings.push(`On somebody else's choices, as on a shared account, the change is ${intervalOf(someoneElse)}.`);
  const last = drift.at(-1)!;
  const caught = drift.find((_, k) => drift.slice(k).every(({ behind }) => behind.high >= 0));
  findings.push(
    caught === undefined
      ? `After a change of taste, an old state is ${intervalOf(last.behind)} from a fresh one after ${last.choices} choices.`
      : caught.choices === 0
        ? "After a change of taste, an old state is not worse than a fresh one from the start."
        : `After a change of taste, an old state is not worse than a fresh one after ${count(caught.choices, "choice")}.`,
  );
  return findings;
}

function curveFinding({ curve }: Found): string[] {
  const first = curve.find(({ gain }) => gain.low > 0);
  if (first === undefined) return [];
  return [`The gain shows from choice ${first.from} on.`];
}

function cautionsOf({ facts, shownOrder, users, choices }: Found): string[] {
  const { log, drawn, query, isRated, clipped } = facts;
  const cautions: string[] = [];
  if (isRated) {
    cautions.push("People rate what they chose to see. The replay says nothing of documents that nobody rated.");
  } else if (log.hasShown) {
    cautions.push(
      "The candidates were shown by your present ranking. What it never showed nobody could choose, so the replay says nothing of it.",
    );
  } else if (drawn !== null && drawn > 0) {
    cautions.push(
      `The log does not say what was shown: each choice was ranked among ${drawn - 1} other documents, drawn at random, which are easier to beat than a real page.`,
    );
  } else {
    cautions.push(
      "The log does not say what was shown: each choice was ranked among all documents, of which most were never seen.",
    );
  }
  if (shownOrder !== null) {
    const often =
      shownOrder.first >= OFTEN_FIRST
        ? " Users may choose what stands first because it stands first (position bias)."
        : "";
    cautions.push(
      `${percent(shownOrder.first)} of choices stood first in \`shown\`, whose order has MRR ${fixed(shownOrder.heldOut)} by itself.${often}`,
    );
  }
  if (!isRated && clipped === null) {
    cautions.push(
      "No propensities are logged, so choices of what stood high count as much as others. Log how likely each place is seen.",
    );
  }
  if (clipped !== null) {
    cautions.push(
      `Choices are weighted by inverse propensity; ${percent(clipped)} of the weights were clipped, which lets some bias in.`,
    );
  }
  if (!log.hasTime) cautions.push("The log has no times: rows were replayed in the order of the file.");
  if (query === "last") cautions.push("The log has no queries: the document chosen before stands for each.");
  if (query === "mean") cautions.push("The log has no queries: the mean of the documents stands for each.");
  if (choices < 10) cautions.push("Users have few choices, so little of each is held out.");
  if (users.same > 0.5) cautions.push("For most users nothing changed: more choices a user would tell more.");
  cautions.push("An A/B test with real users has the last word.");
  return cautions;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
