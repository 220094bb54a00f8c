/** The title of a document: its first heading. */
export function titleOf(markdown) {
  return /^# (.+)$/m.exec(markdown)?.[1].replaceAll("`", "") ?? "";
}

/** The first sentence of a document's first paragraph, without markup. */
export function summaryOf(markdown) {
  const paragraph = markdown.split(/\n{2,}/).find((each) => /^[^#|\-<!`\s]/.test(each)) ?? "";
  const plain = paragraph
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/[*`]/g, "")
    .replaceAll("\n", " ");
  return /^.*?[.:](?=\s|$)/.exec(plain)?.[0] ?? plain;
}
