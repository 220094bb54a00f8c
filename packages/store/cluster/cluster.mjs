import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const DEBIAN = "/usr/lib/postgresql";

/** The folder of PostgreSQL's programs; undefined where there are none. `POSTGRES=required` makes that an error. */
export const POSTGRES_PROGRAMS = findPrograms();

function findPrograms() {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(DEBIAN, version, "bin")),
    ...(process.env.PATH ?? "").split(":").filter((folder) => folder !== ""),
  ];
  const found = folders.find((folder) => existsSync(join(folder, "initdb")));
  if (found === undefined && process.env.POSTGRES === "required") throw new Error("There is no PostgreSQL here");
  return found;
}

/** A PostgreSQL of one's own, on a port that nobody else has: for tests, faults and trying out. */
export class Cluster {
  #folder;
  #port;

  constructor(folder, port) {
    this.#folder = folder;
    this.#port = port;
    this.url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  }

  /** Makes and starts one. @param settings of postgresql.conf */
  static async start(settings = {}) {
    const folder = mkdtempSync(join(tmpdir(), "microlora-postgres-"));
    // PostgreSQL does not run as root; whoever it runs as has to reach the folder.
    chmodSync(folder, 0o777);
    const cluster = new Cluster(folder, await freePort());
    cluster.#run("initdb", "-D", cluster.#data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N");
    cluster.startServer(settings);
    return cluster;
  }

  get #data() {
    return join(this.#folder, "data");
  }

  startServer(settings = {}) {
    const all = { port: `${this.#port}`, listen_addresses: "127.0.0.1", unix_socket_directories: "", ...settings };
    const options = Object.entries(all).map(([name, value]) => `-c ${name}='${value}'`);
    const log = join(this.#folder, "log");
    this.#run("pg_ctl", "-D", this.#data, "-l", log, "-w", "-t", "60", "-o", options.join(" "), "start");
  }

  /** @param mode `fast`, or `immediate`, which is what a crash does */
  stopServer(mode) {
    this.#run("pg_ctl", "-D", this.#data, "-w", "-m", mode, "stop");
  }

  remove() {
    this.stopServer("immediate");
    rmSync(this.#folder, { recursive: true });
  }

  #run(program, ...args) {
    const command = [join(POSTGRES_PROGRAMS, program), ...args];
    if (process.getuid?.() === 0) command.unshift("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups");
    execFileSync(command[0], command.slice(1), { cwd: this.#folder, stdio: ["ignore", "ignore", "pipe"] });
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
