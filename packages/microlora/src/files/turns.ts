const last = new Map<string, Promise<unknown>>();

/**
 * Runs actions that share a key one after the other, in the order of the calls. An action with several keys waits for all of
 * them; since a call takes its places at once, no two actions wait for each other.
 */
export function inTurn<T>(keys: readonly string[], action: () => Promise<T>): Promise<T> {
  const before = Promise.allSettled(keys.map((key) => last.get(key)));
  const result = before.then(action);
  const settled = result.then(
    () => {},
    () => {},
  );
  for (const key of keys) last.set(key, settled);
  settled.then(() => {
    for (const key of keys) if (last.get(key) === settled) last.delete(key);
  });
  return result;
}
