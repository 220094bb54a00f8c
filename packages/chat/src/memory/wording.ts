/** Words that speak of the one who says them, and what the other one says instead. */
const SECOND: Readonly<Record<string, string>> = {
  i: "you",
  me: "you",
  my: "your",
  mine: "yours",
  myself: "yourself",
  am: "are",
  "i'm": "you're",
  "i've": "you've",
  "i'd": "you'd",
  "i'll": "you'll",
  was: "were",
};

const FIRST = /\b(?:i|me|my|mine|myself|we|us|our|ours|i'm|i've|i'd|i'll)\b/i;

/** Whether a text speaks of the one who says it. */
export function isFirstPerson(text: string): boolean {
  return FIRST.test(text);
}

/** A statement of a user about themselves as the assistant says it: "My dog is called Rex." becomes "Your dog is called Rex." */
export function inSecondPerson(statement: string): string {
  let afterI = false;
  return statement.replace(/[A-Za-z]+(?:'[A-Za-z]+)?/g, (word, at: number) => {
    const lower = word.toLowerCase();
    const isVerbOfI = lower === "was" || lower === "am";
    const changed = isVerbOfI && !afterI ? undefined : SECOND[lower];
    afterI = lower === "i";
    if (changed === undefined) return word;
    const isI = /^i(?:'|$)/.test(lower);
    return at === 0 || (!isI && word[0] !== lower[0]) ? capitalized(changed) : changed;
  });
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/**
 * Whether two answers say the same of the same thing with another value: they differ in one stretch of words only, and share most of the
 * others. Near twins ("Your dog is called Rex", "Your cat is called Rex") differ in words that their questions have.
 * @param questions that they were answers to
 */
export function differInValueOnly(a: string, b: string, questions: string): boolean {
  const [left, right] = [wordsOf(a), wordsOf(b)];
  let start = 0;
  while (start < Math.min(left.length, right.length) && left[start] === right[start]) start++;
  let end = 0;
  while (end < Math.min(left.length, right.length) - start && left.at(-1 - end) === right.at(-1 - end)) end++;
  const shared = start + end;
  const changed = [left, right].map((words) => words.slice(start, words.length - end));
  const asked = new Set(wordsOf(questions));
  const isValue = changed.every(
    (words) => words.length <= Math.max(3, shared) && !words.some((word) => asked.has(word)),
  );
  return shared >= 2 && isValue;
}

function wordsOf(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}'’-]+/gu) ?? [];
}

/** Words of a text in lower case, with single spaces. */
export function normalized(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}

/** Whether a text has all words of another, singular or plural with -s. */
export function mentions(text: string, about: string): boolean {
  const words = normalized(text).split(" ");
  const wanted = normalized(about).split(" ").filter(Boolean);
  return wanted.length > 0 && wanted.every((word) => words.some((own) => own === word || own === `${word}s`));
}

/** The right answer: what was said with another value for "No, it is Rex.", or what is said to be right. */
export function correction(answer: string, right: string): string {
  const said = right.replace(/^\s*(?:no|nope|wrong|actually|sorry)\b[\s,.!:;-]*/i, "").trim();
  const [, value] = /^(?:it|that|this|he|she)(?:'s| is| was| are)\s+(.+?)[.!]*$/i.exec(said) ?? [];
  const [, start] = /^(.*\b(?:is|are|was|were|called|named|in|at|on|as an?|to)\s+)\S.*$/i.exec(answer) ?? [];
  if (value !== undefined && start !== undefined) return `${start}${value}.`;
  return inSecondPerson(said.charAt(0).toUpperCase() + said.slice(1));
}
