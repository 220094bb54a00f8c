/** One of the things that are compared. */
export interface Contender {
  readonly name: string;
  /** Nanoseconds that `iterations` calls took. */
  run(iterations: number): number | Promise<number>;
  /**
   * Runs the same job once from a known state and compares with float64, after the timing.
   * @returns the largest error in units of its bound: at most 1 if the result is right
   */
  verify?(): number | Promise<number>;
  dispose?(): void;
}

/** A median with the 10th and the 90th percentile of the same samples. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface Placing {
  readonly name: string;
  readonly nanoseconds: Spread;
  /** Of the paired slices of each round: the time of the first contender over this one's. */
  readonly ratio: Spread;
  /** What `verify` returned; null where the contender computes something else. */
  readonly error: number | null;
}

const WARM_UP_NANOSECONDS = 120e6;

/** Times synchronous calls. */
export function timed(call: (i: number) => void): (iterations: number) => number {
  return (iterations) => {
    const from = performance.now();
    for (let i = 0; i < iterations; i++) call(i);
    return (performance.now() - from) * 1e6;
  };
}

/**
 * Lets contenders take turns in slices of about `sliceMilliseconds`, so that whatever disturbs the machine disturbs all
 * of them; every second round in reverse order. Ratios are taken within a round, between slices that lie side by side.
 *
 * The libraries for this job, tinybench and mitata, run one contender to its end before they start the next.
 */
export async function race(
  contenders: readonly Contender[],
  rounds: number,
  sliceMilliseconds: number,
): Promise<Placing[]> {
  const iterations: number[] = [];
  for (const contender of contenders) iterations.push(await warmUp(contender, sliceMilliseconds * 1e6));
  const samples: Float64Array[] = contenders.map(() => new Float64Array(rounds));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const i = round % 2 === 0 ? turn : contenders.length - 1 - turn;
      samples[i]![round] = (await contenders[i]!.run(iterations[i]!)) / iterations[i]!;
    }
  }
  const placings: Placing[] = [];
  for (const [i, contender] of contenders.entries()) {
    placings.push({
      name: contender.name,
      nanoseconds: spread(samples[i]!),
      ratio: spread(samples[i]!.map((sample, round) => samples[0]![round]! / sample)),
      error: (await contender.verify?.()) ?? null,
    });
    contender.dispose?.();
  }
  return placings;
}

/** Runs until the engine has compiled what it will; returns the number of calls that fill a slice. */
async function warmUp(contender: Contender, sliceNanoseconds: number): Promise<number> {
  let total = 0;
  let iterations = 1;
  for (;;) {
    const elapsed = await contender.run(iterations);
    total += elapsed;
    if (total >= WARM_UP_NANOSECONDS && elapsed >= sliceNanoseconds / 4) {
      return Math.max(1, Math.round((iterations * sliceNanoseconds) / elapsed));
    }
    if (elapsed < sliceNanoseconds) iterations *= 2;
  }
}

export function spread(samples: Float64Array): Spread {
  const sorted = samples.slice().sort();
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))]!;
  return { median: at(0.5), low: at(0.1), high: at(0.9) };
}
