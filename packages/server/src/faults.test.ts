import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { Cluster, POSTGRES_PROGRAMS } from "../../store/cluster/cluster.mjs";

/** Processes that are killed; `KILLS` asks for more. docs/results/faults.md has a long run. */
const KILLS = Number(process.env.KILLS ?? 4);
/** Time for one of them, which a busy machine needs. */
const KILL_MS = 30_000;

/** Runs a fault of the package, on what was built. @returns the counts that it printed */
async function run(
  name: string,
  args: readonly (string | number)[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Readonly<Record<string, number>>> {
  const script = fileURLToPath(new URL(`../faults/${name}.mjs`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args.map(String)], {
    env: { ...process.env, ...environment },
  });
  return JSON.parse(/\{.*\}\s*$/.exec(stdout)![0]);
}

test(`${KILLS} times SIGKILL: no acknowledged click is lost, learned twice, or changed`, {
  timeout: 60_000 + KILLS * KILL_MS,
}, async () => {
  const counts = await run("kill", [KILLS]);
  expect(counts).toMatchObject({ loops: KILLS, lost: 0, twice: 0, gaps: 0, otherState: 0 });
  expect(counts.acked).toBeGreaterThan(0);
});

test("clicks that come twice, shuffled, or under a taken id", { timeout: 120_000 }, async () => {
  const counts = await run("duplicates", [2000]);
  expect(counts).toMatchObject({ lost: 0, twice: 0, gaps: 0, otherState: 0, otherAnswer: 0 });
  expect(counts.conflicts).toBe(counts.otherPayload);
});

describe.skipIf(POSTGRES_PROGRAMS === undefined)("with PostgreSQL beside it", () => {
  test(`two services over one database, ${KILLS} of them killed or stopped: nothing is lost, and both agree`, {
    timeout: 120_000 + KILLS * KILL_MS,
  }, async () => {
    const cluster = await Cluster.start();
    try {
      const counts = await run("processes", [KILLS, 2], { DATABASE: cluster.url });
      expect(counts).toMatchObject({ lost: 0, twice: 0, gaps: 0, otherState: 0, apart: 0 });
      expect(counts.acked).toBeGreaterThan(0);
    } finally {
      cluster.remove();
    }
  });
});
