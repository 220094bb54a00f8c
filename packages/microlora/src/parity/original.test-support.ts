import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Factors, ParityCase, Results } from "./cases.test-support.js";

/** What the original makes of a case. */
export interface OriginalResults extends Results {
  readonly scaling: number;
  /** `LoraAdapter::new`'s A [in, rank]. */
  readonly initialA: readonly number[];
  /** The original's second way to add a delta. */
  readonly forwardSimd: readonly number[];
}

/** Which original computed some results. */
export interface Provenance {
  /** SHA-256 of its `src/micro_lora.rs`. */
  readonly source: string;
  readonly ndarray: string;
  readonly rustc: string;
}

export interface Fixtures {
  readonly original: Provenance;
  readonly cases: readonly { readonly given: ParityCase; readonly results: OriginalResults }[];
}

const FIXTURES = join(import.meta.dirname, "fixtures", "original.json");
const FLOATS = "float32:";

const repository = resolve(import.meta.dirname, "..", "..", "..", "..");
const harness = join(repository, "bench", "rust-original");

/** Builds the harness around the crate in `folder`, relative to the repository's root, and runs it. */
export function runOriginal(folder: string, cases: readonly ParityCase[]): OriginalResults[] {
  execFileSync(process.execPath, [join(harness, "build.mjs"), folder], { cwd: repository, stdio: "inherit" });
  const output = execFileSync(join(harness, "target", "release", "parity"), {
    input: cases.map((test) => JSON.stringify(test)).join("\n"),
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  return output.trim().split("\n").map(parseOutcome);
}

export function provenanceOf(folder: string): Provenance {
  const source = readFileSync(join(repository, folder, "src", "micro_lora.rs"));
  const manifest = readFileSync(join(repository, folder, "Cargo.toml"), "utf8");
  return {
    source: createHash("sha256").update(source).digest("hex"),
    ndarray: /ndarray = \{ version = "=([\d.]+)"/.exec(manifest)?.[1] ?? "unknown",
    rustc: execFileSync("rustc", ["--version"], { encoding: "utf8" }).trim(),
  };
}

/** The fixtures, whose arrays of numbers are base64 of little-endian float32. */
export function readFixtures(): Fixtures {
  return JSON.parse(readFileSync(FIXTURES, "utf8"), (_, value: unknown) => {
    if (typeof value !== "string" || !value.startsWith(FLOATS)) return value;
    const bytes = Buffer.from(value.slice(FLOATS.length), "base64");
    return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  });
}

export function writeFixtures(fixtures: Fixtures): void {
  const text = JSON.stringify(
    fixtures,
    (_, value: unknown) => {
      if (!Array.isArray(value) || typeof value[0] !== "number") return value;
      const bytes = Buffer.alloc(4 * value.length);
      for (const [i, number] of value.entries()) bytes.writeFloatLE(number, 4 * i);
      return FLOATS + bytes.toString("base64");
    },
    1,
  );
  writeFileSync(FIXTURES, `${text}\n`);
}

/** A line of the harness's output. */
interface Outcome {
  readonly scaling: number;
  readonly initialA: readonly number[];
  readonly forward: readonly number[];
  readonly forwardAdd: readonly number[];
  readonly forwardSimd: readonly number[];
  readonly forwardBatch: readonly number[];
  readonly applied: Factors;
  readonly appliedWithEwc: Factors;
  readonly fisher: Factors;
  readonly merged: readonly number[];
}

function parseOutcome(line: string): OriginalResults {
  const toFloat32 = (_: string, value: unknown): unknown => (typeof value === "number" ? Math.fround(value) : value);
  const { applied, appliedWithEwc, fisher, ...rest } = JSON.parse(line, toFloat32) as Outcome;
  return {
    ...rest,
    appliedA: applied.a,
    appliedB: applied.b,
    penalisedA: appliedWithEwc.a,
    penalisedB: appliedWithEwc.b,
    fisherA: fisher.a,
    fisherB: fisher.b,
  };
}
