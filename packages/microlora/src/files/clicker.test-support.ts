import { loadWith, type Saveable, save } from "../node.js";

/** Clicks by the name of the process that made them. */
export type Counts = Record<string, number>;

interface Counter extends Saveable {
  readonly counts: Counts;
}

export function counterOf(counts: Counts): Counter {
  return { counts, toBytes: () => Buffer.from(JSON.stringify(counts).padEnd(5000)) };
}

const codeOf = (error: unknown) => (error as { code?: string }).code;

async function loadOrCreate(path: string): Promise<Counter> {
  for (;;) {
    try {
      return await loadWith(path, (bytes) => counterOf(JSON.parse(Buffer.from(bytes).toString()) as Counts));
    } catch (error) {
      if (codeOf(error) !== "no-such-file") throw error;
    }
    const counter = counterOf({});
    try {
      await save(counter, path, { over: "nothing" });
      return counter;
    } catch (error) {
      if (codeOf(error) !== "conflict") throw error;
    }
  }
}

/** Adds clicks to a file that other processes write too, and prints a dot for each that was saved and a c for each conflict. */
export async function clickForever(path: string, name: string): Promise<never> {
  let counter = await loadOrCreate(path);
  for (;;) {
    counter.counts[name] = (counter.counts[name] ?? 0) + 1;
    try {
      await save(counter, path);
      process.stdout.write(".");
    } catch (error) {
      if (codeOf(error) !== "conflict") throw error;
      process.stdout.write("c");
      counter = await loadOrCreate(path);
    }
  }
}
