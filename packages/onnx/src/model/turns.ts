import type { MicroLora } from "microlora";

/** The last thing that each adapter was asked to learn, done or not. */
const LAST = new WeakMap<MicroLora, Promise<unknown>>();

/**
 * Runs an action once all that was asked of these adapters before is done, so that calls at once come to the same as calls one after
 * the other, whatever models they go through.
 */
export function inTurn<T>(adapters: Iterable<MicroLora>, action: () => Promise<T>): Promise<T> {
  const all = [...new Set(adapters)];
  const turn = Promise.all(all.map((adapter) => LAST.get(adapter))).then(action);
  const settled = turn.catch(() => undefined);
  for (const adapter of all) LAST.set(adapter, settled);
  return turn;
}
