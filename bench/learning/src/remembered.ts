import type { Split } from "./problem.js";

/** The same user for the same seed, drawn once. */
export function remembered<T>(draw: (seed: number, split: Split) => T): (seed: number, split: Split) => T {
  const drawn = new Map<string, T>();
  return (seed, split) => {
    const key = `${split} ${seed}`;
    const user = drawn.get(key) ?? draw(seed, split);
    drawn.set(key, user);
    return user;
  };
}
