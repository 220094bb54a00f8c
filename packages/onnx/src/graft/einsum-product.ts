/**
 * How an Einsum of two terms is a product of matrices: `abc,cde->abde`, or `...c,cd->...d`.
 * @param rank of the weight, the second term
 * @returns how many of the weight's first letters are summed; undefined if it is anything else
 */
export function productTerms(equation: string, rank: number): { readonly inner: number } | undefined {
  const [left = "", result] = equation.replaceAll(" ", "").split("->");
  const [x, w, more] = left.split(",");
  if (x === undefined || w === undefined || more !== undefined || result === undefined) return undefined;
  if (w.length !== rank || w.includes(".") || new Set(w).size !== w.length) return undefined;
  for (let inner = 1; inner < w.length; inner++) {
    const [summed, kept] = [w.slice(0, inner), w.slice(inner)];
    const lead = x.slice(0, x.length - inner);
    const isIt = x.endsWith(summed) && result === lead + kept && ![...w].some((letter) => lead.includes(letter));
    if (isIt) return { inner };
  }
  return undefined;
}
