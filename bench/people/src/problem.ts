import type { Choice, Measures, Named, Person, Task } from "@microlora/evaluate";

/** Users whose choices make vectors and popularity; users to tune on; users who are run once. */
export type Split = "train" | "tune" | "test";

export interface SplitPerson extends Person {
  readonly split: Split;
}

/** Real people's choices among items. */
export interface Problem extends Task {
  readonly people: readonly SplitPerson[];
  readonly named: Named | null;
}

/** The first people of a split. */
export function peopleOf({ people }: Problem, split: Split, most: number): readonly SplitPerson[] {
  return people.filter((person) => person.split === split).slice(0, most);
}

/** What is measured on a problem. */
export function measuresOf(problem: Problem): Measures {
  const { people, named } = problem;
  const topics = new Set(people.flatMap(({ choices }) => choices.map(({ topic }: Choice) => topic)));
  return { task: problem, named, hasTopics: topics.size > 1 };
}
