/** Milliseconds that a run takes, awaited. */
export async function timed(run) {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** Lower quartile, median, upper quartile. */
export function quartiles(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((part) => sorted[Math.floor(part * (sorted.length - 1))]);
}
