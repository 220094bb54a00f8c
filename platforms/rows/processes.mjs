import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Project } from "../lib/project.mjs";

const CLICKS = 20;

/** Two processes on one file: each click is in the file, or its process was told that it is not. */
export async function run({ tarballs, check }) {
  const project = Project.install("runtimes", tarballs);
  const folder = mkdtempSync(join(tmpdir(), "microlora-processes-"));
  const path = join(folder, "user.mlora");
  try {
    await check(`Node ${process.version}, two processes, ${CLICKS} clicks each, one file`, async () => {
      project.run(process.execPath, ["make-state.mjs", path, "make"]);
      const told = await Promise.all([clicker(project, path), clicker(project, path)]);
      const saved = told.reduce((sum, each) => sum + each.saved, 0);
      const refused = told.reduce((sum, each) => sum + each.refused, 0);
      const kept = Number(project.run(process.execPath, ["make-state.mjs", path]));
      return kept === saved && saved + refused === 2 * CLICKS
        ? undefined
        : `${kept} kept, ${saved} saved, ${refused} refused`;
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function clicker(project, path) {
  const child = spawn(process.execPath, ["clicker.mjs", path, String(CLICKS)], { cwd: project.folder });
  let printed = "";
  child.stdout.on("data", (data) => (printed += data));
  child.stderr.on("data", (data) => (printed += data));
  await once(child, "close");
  return JSON.parse(printed);
}
