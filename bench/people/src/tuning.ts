import { createBase, evaluatePerson, type Tuned, tuneBaselines } from "@microlora/evaluate";
import { measuresOf, type Problem, peopleOf } from "./problem.js";

const PEOPLE = 40;

/** Tries every setting of every baseline on tune people. */
export function tune(problem: Problem): Tuned {
  const measures = { ...measuresOf(problem), hasTopics: false };
  const people = peopleOf(problem, "tune", PEOPLE);
  return tuneBaselines(problem, (baseline, numbers) => {
    const make = () => baseline?.make(problem, numbers) ?? createBase(problem);
    return people.map((person, i) => evaluatePerson(measures, person, make, i));
  });
}
