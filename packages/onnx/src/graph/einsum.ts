/** The letters of each term and of the result; the axes of "..." are called "0", "1", … from the last one. */
export function parseEinsum(equation: string, ranks: readonly number[]): { terms: string[][]; result: string[] } {
  const [left = "", right] = equation.replaceAll(" ", "").split("->");
  const terms = left.split(",").map((term, index) => spell(term, ranks[index] ?? 0));
  const dots = terms
    .map((letters) => letters.filter((letter) => /\d/.test(letter)))
    .reduce((a, b) => (b.length > a.length ? b : a), []);
  if (right !== undefined) return { terms, result: spell(right, dots.length + right.replace("...", "").length) };
  const counts = new Map<string, number>();
  for (const letter of terms.flat()) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  const once = [...counts].filter(([letter, count]) => count === 1 && !/\d/.test(letter)).map(([letter]) => letter);
  return { terms, result: [...dots, ...once.sort()] };
}

function spell(term: string, rank: number): string[] {
  const [before = "", after] = term.split("...");
  if (after === undefined) return [...term];
  const hidden = rank - before.length - after.length;
  return [...before, ...Array.from({ length: Math.max(0, hidden) }, (_, index) => `${hidden - 1 - index}`), ...after];
}
