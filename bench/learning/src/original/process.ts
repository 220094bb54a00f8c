import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

const ROOT = resolve(import.meta.dirname, "../../../..");
const HARNESS = join(ROOT, "bench/rust-original");
const LEARNER = join(HARNESS, "target/release/learner");
const CRATE = resolve(ROOT, process.env.ORIGINAL_CRATE ?? "../shared/seed");

/** Answers of `bench/rust-original/src/bin/learner.rs`, by command. */
interface Answers {
  readonly create: null;
  readonly forward: readonly (readonly number[])[];
  /** Microseconds. */
  readonly adapt: number;
  readonly consolidate: null;
  readonly bytes: number;
}

/** The Rust original in a process of its own, one learner at a time. */
export class OriginalProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #waiting: ((line: string) => void)[] = [];

  private constructor() {
    this.#child = spawn(LEARNER, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface(this.#child.stdout);
    this.#lines.on("line", (line) => this.#waiting.shift()?.(line));
  }

  /** null where the crate is not, or cargo, which builds it. */
  static start(): OriginalProcess | null {
    return isBuilt() ? new OriginalProcess() : null;
  }

  ask<Op extends keyof Answers>(op: Op, parameters: Readonly<Record<string, unknown>> = {}): Promise<Answers[Op]> {
    this.#child.stdin.write(`${JSON.stringify({ op, ...parameters })}\n`);
    return new Promise((give) => this.#waiting.push((line) => give(JSON.parse(line))));
  }

  [Symbol.dispose](): void {
    this.#child.stdin.end();
  }
}

let built: boolean | undefined;

function isBuilt(): boolean {
  built ??= build();
  return built;
}

function build(): boolean {
  if (!existsSync(join(CRATE, "Cargo.toml"))) return false;
  try {
    execFileSync(process.execPath, [join(HARNESS, "build.mjs"), CRATE], { stdio: "inherit" });
  } catch {
    return false;
  }
  return existsSync(LEARNER);
}
