// Takes the place of node:fs/promises in tests: every call first asks `faults.before`, which may throw or kill the process.
import type { FileHandle } from "node:fs/promises";

const real = process.getBuiltinModule("node:fs/promises");

/** What happens before each call of the file system. */
export const faults: { before: (call: string) => void } = { before: () => {} };

const HANDLE_METHODS: ReadonlySet<string | symbol> = new Set(["writeFile", "sync"]);

// biome-ignore lint/suspicious/noExplicitAny: any function of the file system
function faulty<F extends (...args: any[]) => Promise<unknown>>(name: string, call: F): F {
  return (async (...args: Parameters<F>) => {
    faults.before(name);
    return call(...args);
  }) as F;
}

function faultyHandle(handle: FileHandle): FileHandle {
  return new Proxy(handle, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      const method = value.bind(target);
      if (key === "close") return () => method().then(() => faults.before("handle.close"));
      return HANDLE_METHODS.has(key) ? faulty(`handle.${String(key)}`, method) : method;
    },
  });
}

export const access = faulty("access", real.access);
export const chmod = faulty("chmod", real.chmod);
export const chown = faulty("chown", real.chown);
export const link = faulty("link", real.link);
export const lstat = faulty("lstat", real.lstat as (path: string) => Promise<unknown>);
export const open = faulty("open", async (path: string, flags?: string, mode?: number) =>
  faultyHandle(await real.open(path, flags, mode)),
);
export const readdir = faulty("readdir", real.readdir as (path: string) => Promise<string[]>);
export const readFile = faulty("readFile", real.readFile as (path: string) => Promise<unknown>);
export const rename = faulty("rename", real.rename);
export const rm = faulty("rm", real.rm);
export const stat = faulty("stat", real.stat as (path: string) => Promise<unknown>);
export const utimes = faulty("utimes", real.utimes);
