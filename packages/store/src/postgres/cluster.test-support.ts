import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const DEBIAN = "/usr/lib/postgresql";

/** The folder of PostgreSQL's programs; undefined where there are none. `POSTGRES=required` makes that an error. */
export const POSTGRES_PROGRAMS = findPrograms();

function findPrograms(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(DEBIAN, version, "bin")),
    ...(process.env.PATH ?? "").split(":").filter((folder) => folder !== ""),
  ];
  const found = folders.find((folder) => existsSync(join(folder, "initdb")));
  if (found === undefined && process.env.POSTGRES === "required") throw new Error("There is no PostgreSQL here");
  return found;
}

/** A PostgreSQL of one's own, on a port that nobody else has. */
export class Cluster {
  readonly url: string;
  readonly #folder: string;
  readonly #port: number;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
    this.url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  }

  /** Makes and starts one. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<Cluster> {
    const folder = mkdtempSync(join(tmpdir(), "microlora-postgres-"));
    // PostgreSQL does not run as root; whoever it runs as has to reach the folder.
    chmodSync(folder, 0o777);
    const cluster = new Cluster(folder, await freePort());
    cluster.#run("initdb", "-D", cluster.#data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N");
    cluster.startServer(settings);
    return cluster;
  }

  get #data(): string {
    return join(this.#folder, "data");
  }

  startServer(settings: Readonly<Record<string, string>> = {}): void {
    const all = { port: `${this.#port}`, listen_addresses: "127.0.0.1", unix_socket_directories: "", ...settings };
    const options = Object.entries(all).map(([name, value]) => `-c ${name}='${value}'`);
    this.#run(
      ...[
        "pg_ctl",
        "-D",
        this.#data,
        "-l",
        join(this.#folder, "log"),
        "-w",
        "-t",
        "60",
        "-o",
        options.join(" "),
        "start",
      ],
    );
  }

  /** `immediate` is what a crash does to it. */
  stopServer(mode: "fast" | "immediate"): void {
    this.#run("pg_ctl", "-D", this.#data, "-w", "-m", mode, "stop");
  }

  remove(): void {
    this.stopServer("immediate");
    rmSync(this.#folder, { recursive: true });
  }

  #run(...[program, ...args]: string[]): void {
    const command = [join(POSTGRES_PROGRAMS!, program!), ...args];
    if (process.getuid?.() === 0) command.unshift("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups");
    execFileSync(command[0]!, command.slice(1), { cwd: this.#folder, stdio: ["ignore", "ignore", "pipe"] });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { readonly port: number };
      server.close(() => resolve(port));
    });
  });
}
