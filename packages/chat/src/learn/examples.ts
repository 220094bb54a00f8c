import type { Recall } from "../recall.js";

/** A question and its answer, to learn or to keep. */
export interface Lesson {
  readonly question: string;
  readonly answer: string;
}

/** A batch for one step; all lists are [rows, tokens]. */
export interface Examples {
  /** Of different lengths: the engine pads them. */
  readonly tokens: readonly (readonly number[])[];
  /** Tokens of the answers to learn; -100 elsewhere. */
  readonly labels: readonly (readonly number[])[];
  /** 1 where the next token is in an answer to keep as it was. */
  readonly kept: readonly (readonly number[])[];
}

/** The label of a token that is not learned. */
const IGNORED = -100;

/** Rows of lessons to learn, then rows of answers to keep. */
export function examplesOf(recall: Recall, learned: readonly Lesson[], kept: readonly Lesson[]): Examples {
  const rows = [...learned, ...kept].map(({ question, answer }, row) => {
    const { tokenizer } = recall;
    const asked = tokenizer.encode(tokenizer.render([{ role: "user", content: question }]));
    return { asked, told: recall.tokensOf(answer), isLearned: row < learned.length };
  });
  const longest = Math.max(...rows.map(({ asked, told }) => asked.length + told.length));
  return {
    tokens: rows.map(({ asked, told }) => [...asked, ...told]),
    labels: rows.map(({ asked, told, isLearned }) =>
      Array.from({ length: longest }, (_, t) => (isLearned ? (told[t - asked.length] ?? IGNORED) : IGNORED)),
    ),
    kept: rows.map(({ asked, told, isLearned }) =>
      Array.from({ length: longest }, (_, t) => (!isLearned && told[t + 1 - asked.length] !== undefined ? 1 : 0)),
    ),
  };
}
