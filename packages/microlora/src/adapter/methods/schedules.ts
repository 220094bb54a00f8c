import type { Schedule } from "./method.js";
import { type Bounds, savedSettings, settingsOf } from "./settings.js";

interface WarmUp {
  /** Updates over which the rate rises linearly from rate / warmUp to its full length; 0 by default. */
  readonly warmUp?: number;
}

export interface DecayingSchedule extends WarmUp {
  /** The update at which the floor is reached. */
  readonly updates: number;
  /** Share of the learning rate that stays for good, in [0, 1]; 0.1 by default, since users never stop teaching. */
  readonly floor?: number;
}

const COUNT = [0, 1e12, 0] as const;
const DECAYING = { warmUp: COUNT, updates: [1, 1e12, 1], floor: [0, 1, 0.1] } as const;

/** The learning rate as it is, after a linear warm-up (Goyal et al. 2017, section 2.2). */
export function warmUp(updates: number): Schedule {
  return schedule("warm-up", { warmUp: COUNT }, { warmUp: updates }, () => 1);
}

/** After the warm-up a straight line down to the floor. */
export function linearDecay(given: DecayingSchedule): Schedule {
  return schedule("linear", DECAYING, { ...given }, ({ floor }, done) => floor + (1 - floor) * (1 - done));
}

/** After the warm-up half a cosine down to the floor (Loshchilov & Hutter 2017, eq. 5, without restarts). */
export function cosineDecay(given: DecayingSchedule): Schedule {
  const cosine = (done: number) => (1 + Math.cos(Math.PI * done)) / 2;
  return schedule("cosine", DECAYING, { ...given }, ({ floor }, done) => floor + (1 - floor) * cosine(done));
}

/** After the warm-up rate * sqrt(warmUp / update) (Vaswani et al. 2017, eq. 3): never ends, so it suits a stream. */
export function inverseSquareRoot(given: WarmUp = {}): Schedule {
  const bounds = { warmUp: COUNT } as const;
  return schedule("inverse-sqrt", bounds, { ...given }, ({ warmUp: rise }, _, update) =>
    Math.sqrt(Math.max(1, rise) / update),
  );
}

function schedule<Key extends string>(
  name: string,
  bounds: Bounds<Key>,
  given: Readonly<Partial<Record<string, number>>>,
  factor: (settings: Readonly<Record<Key, number>>, done: number, update: number) => number,
): Schedule {
  const settings = settingsOf(name, bounds, given);
  const all: Readonly<Partial<Record<string, number>>> = settings;
  const rise = all.warmUp ?? 0;
  const span = Math.max(1, (all.updates ?? 1) - rise);
  return {
    kind: "schedule",
    name,
    settings,
    factorAt: (update) =>
      update <= rise ? update / rise : factor(settings, Math.min(1, (update - rise) / span), update),
    withSettings: (saved) => schedule(name, bounds, savedSettings(name, bounds, saved), factor),
  };
}
