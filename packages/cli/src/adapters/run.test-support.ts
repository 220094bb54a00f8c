import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "vitest";

export const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

const run = promisify(execFile);

/** What the command prints. */
export async function microlora(...args: string[]): Promise<string> {
  return (await run(process.execPath, [MAIN, ...args])).stdout;
}

/** How the command refuses. */
export function refused(...args: string[]): Promise<{ code: number; stderr: string; stdout: string }> {
  return run(process.execPath, [MAIN, ...args]).then(
    () => expect.unreachable(),
    (error: { code: number; stderr: string; stdout: string }) => error,
  );
}
