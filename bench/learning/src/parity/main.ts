/**
 * `npm --prefix bench/learning run parity -- --export=FOLDER` writes the cases that `avalanche/parity.py` reads; without
 * the option, ours runs on the same cases, and `results/parity.json` tells both.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { digitSetup } from "../digits/digits.js";
import { drawCase, encodeCase, sha256 } from "./case.js";
import { type EwcMode, type ParitySettings, runLearn, runOurs } from "./ours.js";
import { type AvalancheOutputs, compare, type ParityRow, saveParity } from "./outputs.js";

const AVALANCHE = resolve(import.meta.dirname, "../../avalanche");
interface Settings extends ParitySettings {
  readonly seeds: readonly number[];
  readonly modes: Readonly<Record<string, EwcMode>>;
}

const settings: Settings = JSON.parse(readFileSync(join(AVALANCHE, "settings.json"), "utf8"));
const { values } = parseArgs({ options: { export: { type: "string" } } });
const setup = digitSetup();
const cases = settings.seeds.map((seed) => drawCase(setup, seed));

if (values.export !== undefined) {
  mkdirSync(values.export, { recursive: true });
  for (const parityCase of cases) {
    writeFileSync(join(values.export, `${parityCase.seed}.safetensors`), await encodeCase(parityCase));
  }
} else {
  const outputs: AvalancheOutputs = JSON.parse(readFileSync(join(AVALANCHE, "outputs.json"), "utf8"));
  const rows: ParityRow[] = [];
  for (const parityCase of cases) {
    const { seed } = parityCase;
    if (sha256(await encodeCase(parityCase)) !== outputs.cases[seed]) {
      throw new Error(`avalanche ran on another case of seed ${seed}: export the cases again, and run parity.py`);
    }
    for (const [mode, chosen] of Object.entries(settings.modes)) {
      const ours = await runOurs(parityCase, chosen, settings);
      rows.push(compare(mode, seed, ours, outputs.runs[mode]![seed]!));
    }
    rows.push(compare("learn", seed, await runLearn(parityCase, settings), outputs.runs.online![seed]!));
  }
  saveParity(rows);
}
