/** How the sign of an element is elected: by the sum of the numbers, or by their majority. */
export type MajoritySign = "total" | "frequency";

/** How tensors of one shape become one. */
export type Mix = (tensors: readonly Float64Array[], weights: readonly number[], sign: MajoritySign) => Float64Array;

export const MIX = { sum, elect } as const satisfies Readonly<Record<string, Mix>>;

/** The weighted sum (task arithmetic, Ilharco et al. 2022). */
function sum(tensors: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const out = new Float64Array(tensors[0]?.length ?? 0);
  for (const [k, tensor] of tensors.entries()) {
    for (let i = 0; i < out.length; i++) out[i]! += weights[k]! * tensor[i]!;
  }
  return out;
}

/**
 * Of each element, the weighted mean of the numbers that have the elected sign (TIES, Yadav et al. 2023, section 3.2
 * and 3.3); as PEFT has it, the mean counts the numbers and not their weights, and a tie is positive.
 */
function elect(tensors: readonly Float64Array[], weights: readonly number[], method: MajoritySign): Float64Array {
  const out = new Float64Array(tensors[0]?.length ?? 0);
  for (let i = 0; i < out.length; i++) {
    let votes = 0;
    for (const tensor of tensors) votes += method === "total" ? tensor[i]! : Math.sign(tensor[i]!);
    const elected = votes >= 0 ? 1 : -1;
    let [total, count] = [0, 0];
    for (const [k, tensor] of tensors.entries()) {
      if (Math.sign(tensor[i]!) !== elected) continue;
      total += weights[k]! * tensor[i]!;
      count++;
    }
    out[i] = total / Math.max(1, count);
  }
  return out;
}
