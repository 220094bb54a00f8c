/**
 * `npm run bench`: the figures of the core's speed, into `results/`. Options: `--rounds=N` (101 by default), `--name=NAME` of the two files in
 * `results/` (speed by default).
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { aimsOf } from "./aims.js";
import type { ColdStart } from "./cold-start.js";
import { compile, type Maker } from "./compiled.js";
import { describeMachine } from "./machine.js";
import type { MemoryFigures } from "./memory.js";
import { kernelsName, makeKernel, makeOurs, makeOursLikePeer } from "./ours.js";
import { RUNTIMES } from "./peers/runtimes.js";
import { RUVECTOR } from "./peers/ruvector.js";
import { makeProblem, type Operation, type Problem, type Shape } from "./problem.js";
import { type Contender, race, type Spread, spread } from "./race.js";
import { type Report, toMarkdown } from "./report.js";
import { type Cell, IN_TWOS, type Section } from "./sections.js";

const { values } = parseArgs({ options: { rounds: { type: "string" }, name: { type: "string" } } });
const rounds = Number(values.rounds ?? 101);
const SLICE_MILLISECONDS = 2;
const COLD_STARTS = 15;
/** A young generation so large that nothing is collected during a count. */
const COUNT_ALLOCATIONS = ["--expose-gc", "--min-semi-space-size=512", "--max-semi-space-size=512"];

const RANKS = [1, 2, 8];
const SIZES: readonly (readonly [number, number])[] = [
  [256, 256],
  [768, 768],
  [2048, 2048],
  [4096, 4096],
  [4096, 11008],
];
const PEER_SIZES: readonly (readonly [number, number])[] = [
  [256, 256],
  [768, 768],
  [4096, 4096],
];
const PEERS = [...RUVECTOR, ...RUNTIMES];
const RANK_SIZES: readonly (readonly [number, number])[] = [
  [768, 768],
  [4096, 4096],
];
const BATCH_SIZES: readonly (readonly [number, number])[] = [
  [768, 768],
  [4096, 4096],
];

function shapes(sizes: readonly (readonly [number, number])[], ranks: readonly number[]): Shape[] {
  return sizes.flatMap(([inFeatures, outFeatures]) => ranks.map((rank) => ({ rank, inFeatures, outFeatures })));
}

function jobOf({ inFeatures, outFeatures, rank }: Shape): string {
  return `${inFeatures} to ${outFeatures}, rank ${rank}`;
}

async function cellOf(job: string, contenders: readonly Contender[]): Promise<Cell> {
  const placings = await race(contenders, rounds, SLICE_MILLISECONDS);
  console.error(`${job}: ${placings.map(({ name, ratio }) => `${name} ${ratio.median.toFixed(2)}`).join(", ")}`);
  return { job, placings };
}

function compiledFor(problem: Problem, makers: readonly Maker[]): Contender[] {
  return makers.flatMap((make) => make(problem) ?? []);
}

async function forwardCells(makers: readonly Maker[]): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const shape of shapes(SIZES, RANKS)) {
    const problem = makeProblem("forward", shape);
    const ours = [await makeOurs(problem), await makeKernel(problem)];
    cells.push(await cellOf(jobOf(shape), [...ours, ...compiledFor(problem, makers)]));
  }
  return cells;
}

async function requestCells(makers: readonly Maker[]): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const shape of shapes(SIZES, RANKS)) {
    const problem = makeProblem("request", shape);
    cells.push(await cellOf(jobOf(shape), [await makeOurs(problem), ...compiledFor(problem, makers)]));
  }
  return cells;
}

/** Each rank against rank 2, whose time counts as often as it goes into the rank. */
async function rankCells(): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const operation of ["forward", "request"] as const) {
    for (const shape of shapes(RANK_SIZES, [4, 8, 16, 64])) {
      const ours = await makeOurs(makeProblem(operation, shape));
      const twos = await makeOurs(makeProblem(operation, { ...shape, rank: 2 }));
      const asMany: Contender = {
        ...twos,
        name: IN_TWOS,
        run: async (iterations) => ((await twos.run(iterations)) * shape.rank) / 2,
      };
      cells.push(await cellOf(`${operation}, ${jobOf(shape)}`, [ours, asMany]));
    }
  }
  return cells;
}

async function batchCells(makers: readonly Maker[]): Promise<Cell[]> {
  const cells: Cell[] = [];
  const kinds: readonly [Operation, number, string][] = [
    ["each", 256, "an adapter each"],
    ["batch", 128, "one adapter"],
  ];
  for (const [operation, rows, what] of kinds) {
    for (const shape of shapes(BATCH_SIZES, RANKS)) {
      const problem = makeProblem(operation, shape, rows);
      const contenders = [await makeOurs(problem), ...compiledFor(problem, makers)];
      cells.push(await cellOf(`${rows} rows, ${what}, ${jobOf(shape)}`, contenders));
    }
  }
  return cells;
}

/** Each peer against ours with the peer's kind of arrays. */
async function peerCells(): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const peer of PEERS) {
    for (const operation of ["forward", "request"] as const) {
      if (operation === "request" && peer.learns === undefined) continue;
      for (const shape of shapes(PEER_SIZES, [1, 2])) {
        const problem = makeProblem(operation, shape);
        const theirs = await peer.make(problem);
        if (theirs === null) continue;
        const ours = await makeOursLikePeer(problem, peer.arrays);
        const step = operation === "request" ? "forward and a learning step" : "forward";
        cells.push(await cellOf(`${step}, ${jobOf(shape)}`, [ours, theirs]));
      }
    }
  }
  return cells;
}

/** The JSON that a program of this folder prints in a process of its own. */
function inFreshProcess<T>(program: string, ...flags: readonly string[]): T {
  const args = [...process.execArgv, ...flags, join(import.meta.dirname, program)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as T;
}

function coldStart(): Report["coldStart"] {
  const starts = Array.from({ length: COLD_STARTS }, () => inFreshProcess<ColdStart>("cold-start.js"));
  const of = (phase: keyof ColdStart): Spread => spread(Float64Array.from(starts, (start) => start[phase]));
  return { import: of("import"), create: of("create"), firstRequest: of("firstRequest") };
}

const { makers, tools, missing } = compile();
const sections: Section[] = [
  {
    title: "Forward",
    explanation:
      "`forwardAdd` through the public API on buffers from `allocate`, against AVX2 and FMA by hand in C and against the Rust original's `MicroLoRA::forward_add`.",
    layout: "columns",
    cells: await forwardCells(makers),
  },
  {
    title: "One request",
    explanation:
      "`forwardAdd` and `learn` with an EWC penalty that is active, against one fused pass in C, and against the original's `forward_add`, `adapt` and `apply_updates_with_ewc` (which feeds no Fisher information, as ours and the C do).",
    layout: "columns",
    cells: await requestCells(makers),
  },
  {
    title: "Batches",
    explanation: "`forwardEach` and `forwardBatch`, against the same in C and the original's `forward_batch`.",
    layout: "columns",
    cells: await batchCells(makers),
  },
  {
    title: "Ranks",
    explanation: "Higher ranks, against as many ranks in twos: the time of rank 2, times rank / 2.",
    layout: "columns",
    cells: await rankCells(),
  },
  {
    title: "npm peers",
    explanation:
      "Ours takes and gives arrays of the peer's kind, copies included, and its learning step is always the whole one, with EWC and Fisher information. The peers':\n" +
      PEERS.map(
        ({ name, arrays, learns }) =>
          `\n- ${name}: ${arrays === "plain" ? "number[]" : "Float32Array"}; ${learns ?? "does not learn"}`,
      ).join(""),
    layout: "rows",
    cells: await peerCells(),
  },
];
const report: Report = {
  machine: describeMachine(await kernelsName(), tools),
  rounds,
  missing,
  sections,
  memory: inFreshProcess<MemoryFigures>("memory.js", ...COUNT_ALLOCATIONS),
  coldStart: coldStart(),
  aims: aimsOf(sections),
};
const results = join(dirname(import.meta.dirname), "results");
mkdirSync(results, { recursive: true });
const name = values.name ?? "speed";
writeFileSync(join(results, `${name}.json`), `${JSON.stringify(report, null, 1)}\n`);
writeFileSync(join(results, `${name}.md`), toMarkdown(report));
console.error(`results/${name}.md`);
