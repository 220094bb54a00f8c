import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { OPERATIONS, type Problem } from "./problem.js";
import type { Contender } from "./race.js";
import { expectedOutput, expectedWeights, worstError } from "./reference.js";

const bench = dirname(import.meta.dirname);
const built = join(bench, "dist", "native");

interface Addon {
  open(library: string, problem: object): unknown;
  run(handle: unknown, iterations: number): number;
  read(handle: unknown, y: Float32Array, weights: Float32Array): void;
  close(handle: unknown): void;
}

/** Makes a contender for a problem, or null if it has no such operation. */
export type Maker = (problem: Problem) => Contender | null;

/** What could be compiled here, and why the rest could not. */
export interface Compiled {
  readonly makers: readonly Maker[];
  readonly tools: readonly string[];
  readonly missing: readonly string[];
}

/** Builds the native limit and the Rust original, each where its compiler is. */
export function compile(): Compiled {
  const makers: Maker[] = [];
  const tools: string[] = [];
  const missing: string[] = [];
  const attempt = (what: string, build: () => void): void => {
    try {
      build();
    } catch (error) {
      missing.push(`${what}: ${(error instanceof Error ? error.message : String(error)).split("\n")[0]}`);
    }
  };
  attempt("native limit and Rust original", () => {
    tools.push(version("gcc"));
    const addon = buildAddon();
    attempt("native limit", () => makers.push(maker(addon, "native", buildLimit())));
    attempt("Rust original", () => {
      tools.push(version("cargo"));
      for (const [name, library] of buildOriginal()) makers.push(maker(addon, name, library));
    });
  });
  return { makers, tools, missing };
}

function maker(addon: Addon, name: string, library: string): Maker {
  return (problem) => {
    const open = (): unknown => addon.open(library, { ...problem, operation: OPERATIONS.indexOf(problem.operation) });
    const handle = open();
    if (handle === null) return null;
    return {
      name,
      run: (iterations) => addon.run(handle, iterations),
      dispose: () => addon.close(handle),
      verify() {
        const fresh = open();
        addon.run(fresh, 1);
        const y = new Float32Array(problem.rows * problem.outFeatures);
        const weights = new Float32Array(problem.fisher.length);
        addon.read(fresh, y, weights);
        addon.close(fresh);
        const output = worstError(y, expectedOutput(problem));
        return problem.operation === "request"
          ? Math.max(output, worstError(weights, expectedWeights(problem)))
          : output;
      },
    };
  };
}

function buildAddon(): Addon {
  const headers = join(dirname(process.execPath), "..", "include", "node");
  if (!existsSync(join(headers, "node_api.h"))) throw new Error(`no node_api.h in Node's own include/node`);
  mkdirSync(built, { recursive: true });
  const addon = join(built, "addon.node");
  gcc(["-O2", "-I", headers, "addon.c", "-o", addon]);
  return createRequire(import.meta.url)(addon) as Addon;
}

function buildLimit(): string {
  const flags = existsSync("/proc/cpuinfo") ? readFileSync("/proc/cpuinfo", "utf8") : "";
  if (!(/\bavx2\b/.test(flags) && /\bfma\b/.test(flags))) throw new Error("this CPU does not say that it has them");
  const library = join(built, "limit.so");
  gcc(["-O3", "-mavx2", "-mfma", "limit.c", "-o", library]);
  return library;
}

function gcc(args: readonly string[]): void {
  execFileSync("gcc", ["-shared", "-fPIC", ...args], {
    cwd: join(bench, "native"),
    stdio: ["ignore", "inherit", "inherit"],
  });
}

/** The original as its own profile has it, and compiled for this machine's CPU. */
function buildOriginal(): [string, string][] {
  const crate = process.env.ORIGINAL_CRATE ?? join("..", "shared", "seed");
  if (!existsSync(join(dirname(bench), crate, "Cargo.toml"))) throw new Error(`no crate in ${crate}`);
  const library = (target: string, ...flags: string[]): string => {
    const build = join("bench", "rust-original", "build.mjs");
    execFileSync(process.execPath, [build, crate, ...flags], {
      cwd: dirname(bench),
      stdio: ["ignore", "inherit", "inherit"],
    });
    return join(bench, "rust-original", target, "release", "librust_original.so");
  };
  return [
    ["original", library("target")],
    ["original, target-cpu=native", library(join("target", "native"), "--native")],
  ];
}

function version(compiler: string): string {
  return execFileSync(compiler, ["--version"], { encoding: "utf8" }).split("\n")[0]!;
}
