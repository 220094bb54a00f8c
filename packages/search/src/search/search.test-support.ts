/** A vector that a text gives, the same each time: a sum of one random vector a word. */
export function embedWords(text: string, width = 16): Float32Array {
  const sum = new Float32Array(width);
  for (const word of text.split(" ").filter((each) => each !== "")) {
    let hash = 2166136261;
    for (const unit of word) hash = Math.imul(hash ^ unit.codePointAt(0)!, 16777619);
    for (let i = 0; i < width; i++) {
      hash = Math.imul(hash ^ (hash >>> 13), 1540483477) + 0x9e3779b9;
      sum[i]! += (hash | 0) / 2 ** 31;
    }
  }
  return sum;
}

export const WORDS = ["apple", "orange", "phone", "case", "juice", "pie", "salad", "charger"];
