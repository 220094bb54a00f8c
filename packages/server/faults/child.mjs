/** A service in a process of its own, for faults that end it. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { startService } from "../dist/index.js";

const SELF = fileURLToPath(import.meta.url);
const MIB = 1024 * 1024;

/**
 * Starts a service.
 * @param before a command that the process is started by, such as `["strace", "-f"]`
 * @returns the process, and where it listens once it does
 */
export function startChild(data, { before = [], options = {} } = {}) {
  const [command, ...args] = [...before, process.execPath, SELF, data, JSON.stringify(options)];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const exited = new Promise((resolve) => child.once("exit", resolve)).then(() => process.off("exit", kill));
  const url = new Promise((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (chunk) => {
      said += chunk;
      const line = /^listening (\S+)$/m.exec(said);
      if (line !== null) resolve(line[1]);
    });
    exited.then(() => reject(new Error("the service ended before it listened")));
  });
  return { child, exited, url };
}

/** Calls a route. @returns status and body; null where no answer came */
export async function call(url, method, path, body) {
  try {
    const answer = await fetch(url + path, {
      method,
      headers: { "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, json: JSON.parse(await answer.text()) };
  } catch {
    return null;
  }
}

export const DOCUMENTS = ["orange phone case", "fresh orange juice", "apple pie recipe", "apple laptop charger"].map(
  (text, i) => ({ id: `d${i}`, text }),
);

/** A click that follows from its number. */
export function clickOf(user, number) {
  const query = ["orange", "apple", "phone", "juice"][number % 4];
  const shown = ["d0", "d1", "d2", "d3"];
  return { id: `${user} ${number}`, user, index: "shop", query, shown, chosen: shown[(number * 7 + 1) % 4] };
}

if (process.argv[1] === SELF) {
  const [, , data, options] = process.argv;
  const memory = { userBytes: 16 * MIB, indexBytes: 16 * MIB };
  const service = await startService({ data, port: 0, logLevel: "silent", ...memory, ...JSON.parse(options) });
  console.log(`listening ${service.url}`);
  process.once("SIGTERM", () => service.close());
}
