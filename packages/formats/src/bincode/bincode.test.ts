import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { MicroLora, TARGET_MODULES } from "microlora";
import { describe, expect, test } from "vitest";
import { Cursor } from "../base/cursor.js";
import { expectRefusal } from "../base/refusals.test-support.js";
import { toMicroLora } from "../native/micro-lora.js";
import type { LoraFile } from "../picture/lora-file.js";
import { fileOf, floats, sampleTarget } from "../picture/pictures.test-support.js";
import { decodeBincode, encodeBincode } from "./bincode.js";
import { readVarint, writeVarint } from "./varint.js";

const witness = join(import.meta.dirname, "..", "..", "witness", "original");
const fixture = (name: string) => readFileSync(join(import.meta.dirname, "fixtures", name));
const CASES = ["attention", "every-module", "wide", "untrained"];

/** What the original says of a file: its facts, and the forward pass of each module on sin(0), sin(1), ... */
function readReport(text: string) {
  const [first, ...lines] = text.trimEnd().split("\n");
  const [, adaptations, , dropout] = first!.split(" ");
  const modules = lines.flatMap((line, i) => {
    if (i % 2 === 1) return [];
    const [module, inFeatures, outFeatures, rank, scaling] = line.split(" ");
    const shape = { inFeatures: Number(inFeatures), outFeatures: Number(outFeatures), rank: Number(rank) };
    return [{ module: module!, shape, scaling: Number(scaling), forward: lines[i + 1]!.split(" ").map(Number) }];
  });
  return { adaptations, dropout: Number(dropout), modules };
}

describe.each(CASES)("%s, as the Rust original saved it", (name) => {
  const file = decodeBincode(fixture(`${name}.bin`));
  const report = readReport(fixture(`${name}.txt`).toString());

  test("facts", () => {
    expect(file.dropout).toBe(report.dropout);
    expect(file.notes.get("bincode.adaptations")).toBe(report.adaptations);
    expect(file.targets.map(({ module }) => module).sort()).toEqual(report.modules.map(({ module }) => module));
    for (const { module, shape, scaling } of report.modules) {
      const target = file.targets.find((found) => found.module === module)!;
      expect(target).toMatchObject(shape);
      expect(Math.fround(target.alpha / target.rank)).toBe(Math.fround(scaling));
    }
  });

  test("our forward is within the float32 rounding of its forward", async () => {
    using lora = await MicroLora.fromState(toMicroLora(file));
    for (const { module, forward } of report.modules) {
      const { rank, inFeatures, outFeatures, loraA, loraB, alpha } = file.targets.find((t) => t.module === module)!;
      const x = Float32Array.from({ length: inFeatures }, (_, i) => Math.sin(i));
      const ours = lora.forward(x, module);
      for (let o = 0; o < outFeatures; o++) {
        let magnitude = 0;
        for (let r = 0; r < rank; r++) {
          for (let i = 0; i < inFeatures; i++) {
            magnitude += Math.abs((alpha / rank) * x[i]! * loraA[r * inFeatures + i]! * loraB[r * outFeatures + o]!);
          }
        }
        // Either side may round each of its sums; the Rust sine and ours may differ in the last bit.
        const bound = 2 * (rank * inFeatures + 8) * 2 ** -23 * magnitude;
        expect(Math.abs(ours[o]! - forward[o]!), `${module}[${o}]`).toBeLessThanOrEqual(bound);
      }
    }
  });

  test("written again it says the same", () => {
    const bytes = encodeBincode(file);
    expect(decodeBincode(bytes)).toEqual(file);
    expect(Buffer.compare(encodeBincode(decodeBincode(bytes)), bytes)).toBe(0);
    expect(bytes).toHaveLength(fixture(`${name}.bin`).length);
  });

  test("every truncation, and a byte too many, is refused", () => {
    const bytes = fixture(`${name}.bin`);
    for (let length = 0; length < bytes.length; length += bytes.length > 2000 ? 97 : 1) {
      expectRefusal(() => decodeBincode(bytes.subarray(0, length)), "truncated");
    }
    expectRefusal(() => decodeBincode(Buffer.concat([bytes, Buffer.of(0)])), "bad-header");
  });
});

// The crate itself, where there is one: PARITY_CRATE is its folder, relative to the repository's root.
describe.runIf(process.env.PARITY_CRATE)("the crate", () => {
  const folder = mkdtempSync(join(tmpdir(), "microlora-bincode-"));
  const root = resolve(import.meta.dirname, "..", "..", "..", "..");
  const program = join(witness, "target", "release", "witness");
  const run = (...args: string[]) => execFileSync(program, args, { encoding: "utf8", maxBuffer: 2 ** 26 });

  test("prints the same for its own file and for ours of the same state", { timeout: 300_000 }, () => {
    execFileSync(process.execPath, [join(witness, "build.mjs"), process.env.PARITY_CRATE!], { cwd: root });
    for (const name of [...CASES, "huge"]) {
      const [theirs, ours] = [join(folder, `${name}.bin`), join(folder, `${name}-ours.bin`)];
      run("write", name, theirs);
      writeFileSync(ours, encodeBincode(decodeBincode(readFileSync(theirs))));
      expect(run("read", ours) === run("read", theirs), name).toBe(true);
    }
    rmSync(folder, { recursive: true });
  });
});

test("integers of every width, as bincode has them", () => {
  const known: readonly [number, readonly number[]][] = [
    [0, [0]],
    [250, [250]],
    [251, [251, 251, 0]],
    [65_535, [251, 255, 255]],
    [65_536, [252, 0, 0, 1, 0]],
    [2 ** 32, [253, 0, 0, 0, 0, 1, 0, 0, 0]],
    [Number.MAX_SAFE_INTEGER, [253, 255, 255, 255, 255, 255, 255, 31, 0]],
  ];
  for (const [value, bytes] of known) {
    expect(writeVarint(value)).toEqual(bytes);
    expect(readVarint(new Cursor(Uint8Array.from(bytes)), "n")).toBe(value);
  }
  for (const bytes of [[253, 0, 0, 0, 0, 0, 0, 32, 0], [254, ...Array(16).fill(0)], [255]]) {
    expectRefusal(() => readVarint(new Cursor(Uint8Array.from(bytes)), "n"), "bad-value");
  }
});

test("any adapters of the original's modules survive", () => {
  const target = fc.record({
    rank: fc.integer({ min: 1, max: 4 }),
    inFeatures: fc.integer({ min: 1, max: 300 }),
    outFeatures: fc.integer({ min: 1, max: 9 }),
    alpha: fc.constantFrom(1, 4, 0, -3),
  });
  const modules = fc.uniqueArray(fc.constantFrom(...TARGET_MODULES), { minLength: 1 });
  fc.assert(
    fc.property(modules, fc.array(target, { minLength: 9, maxLength: 9 }), (names, shapes) => {
      const file = fileOf(...names.map((name, i) => sampleTarget(name, i, shapes[i]!)));
      const back = decodeBincode(encodeBincode(file)).targets;
      for (const { module, loraA, loraB } of file.targets) {
        expect(back.find((found) => found.module === module)).toMatchObject({ loraA, loraB });
      }
    }),
    { numRuns: 60 },
  );
});

test("what the original has no place for is refused", () => {
  expectRefusal(() => encodeBincode(fileOf(sampleTarget("model.q_proj", 1))), "bad-name");
  expectRefusal(() => encodeBincode(fileOf(sampleTarget("q_proj", 1, { bias: floats(3, 1) }))), "bad-value");
  const file: LoraFile = { ...fileOf(sampleTarget("q_proj", 1)), replaced: new Map([["q_proj.bias", bias]]) };
  expectRefusal(() => encodeBincode(file), "needs-base");
});

const bias = { dtype: "F32", shape: [3], data: new Uint8Array(12) } as const;

test("a module twice, and shapes that do not fit, are refused", () => {
  const one = encodeBincode(fileOf(sampleTarget("q_proj", 1, { rank: 1, inFeatures: 2, outFeatures: 2 })));
  // rank, alpha, dropout, one module, widths, three flags; then the map's length.
  const map = 1 + 4 + 4 + 2 + 2 + 3;
  const adapter = one.subarray(map + 1, one.length - 1);
  const twice = Uint8Array.of(...one.subarray(0, map), 2, ...adapter, ...adapter, 0);
  expectRefusal(() => decodeBincode(twice), "duplicate-name");
  const none = Uint8Array.of(...one.subarray(0, map), 1, 9, ...adapter.subarray(1), 0);
  expectRefusal(() => decodeBincode(none), "bad-value");
  const wide = one.slice();
  wide[one.length - 1 - 4 - 3] = 3;
  expectRefusal(() => decodeBincode(wide), "bad-shape");
  const huge = Uint8Array.of(...one.subarray(0, map), 253, 0, 0, 0, 0, 0, 0, 8, 0);
  expectRefusal(() => decodeBincode(huge), "truncated");
});
