/** A size's name as a symbol that expressions can hold: as it is if it is one word, in brackets otherwise. */
export function symbol(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : `[${name.replace(/[[\]]/g, "_")}]`;
}
