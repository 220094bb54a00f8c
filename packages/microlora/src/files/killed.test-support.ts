import { replaceFiles } from "../node.js";
import { faults } from "./faulty-fs.test-support.js";

/** Replaces files by "new", and kills its own process before the file system call of this number. */
export async function replaceUntilKilled(number: number, paths: readonly string[]): Promise<void> {
  let calls = 0;
  faults.before = () => {
    if (calls++ === number) process.kill(process.pid, "SIGKILL");
  };
  await replaceFiles(paths.map((path) => ({ path, write: (append) => append(Buffer.from("new")) })));
}
