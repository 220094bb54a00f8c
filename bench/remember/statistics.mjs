/** Mean, and the half width of its 95 % interval over users (normal; 0 for a single one). */
export function meanOf(values) {
  const known = values.filter((value) => Number.isFinite(value));
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  const variance = known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, known.length - 1);
  return { mean, half: known.length > 1 ? 1.96 * Math.sqrt(variance / known.length) : 0, count: known.length };
}

export const percent = (values) => shown(meanOf(values.map((value) => 100 * value)), 1, " %");
export const number = (values, digits = 3) => shown(meanOf(values), digits, "");

function shown({ mean, half, count }, digits, unit) {
  if (count === 0) return "-";
  return `${mean.toFixed(digits)} ± ${half.toFixed(digits)}${unit}`;
}
