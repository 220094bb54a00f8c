/** The names of a list with commas, or all of them without one. @throws RangeError for a name that is not among them */
export function namesFrom<Name extends string>(list: string | undefined, all: readonly Name[]): readonly Name[] {
  if (list === undefined) return all;
  return list.split(",").map((name) => {
    const known = all.find((each) => each === name);
    if (known === undefined) throw new RangeError(`${name} is none of ${all.join(", ")}`);
    return known;
  });
}
