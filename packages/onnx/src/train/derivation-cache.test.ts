import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tokenNll } from "../loss/tokens.js";
import { feedsOf, openFixture } from "../testing/models.test-support.js";
import { type DerivationCache, VERSION } from "./derivation-cache.js";
import { folderCache } from "./node.js";

const LABELS = [[1, 2, 3, 4, 5, 6]];

/** The gradients of an adapter of its own, in a model of its own. */
async function gradientsWith(cache: DerivationCache, targets: readonly string[] = ["q_proj"]) {
  await using model = await openFixture("llama-dynamo", { targets, cache });
  const adapter = await model.createAdapter({ rank: 2, seed: 3 });
  const loss = tokenNll({ labels: LABELS });
  const { loss: value, gradients } = await model.gradients({ feeds: feedsOf("llama-dynamo", 1, 6), loss }, { adapter });
  return [value, ...[...gradients.get(adapter)!.values()].flatMap(({ loraA, loraB }) => [...loraA, ...loraB])];
}

/** A cache that counts what is put into it. */
function counting(): { readonly entries: Map<string, Uint8Array>; readonly cache: DerivationCache; puts: number } {
  const entries = new Map<string, Uint8Array>();
  const counter = {
    entries,
    puts: 0,
    cache: {
      get: (key: string) => entries.get(key),
      set(key: string, bytes: Uint8Array) {
        counter.puts++;
        entries.set(key, bytes);
      },
    },
  };
  return counter;
}

test("what was derived is not derived again, and gives the same gradients", async () => {
  const counter = counting();
  const first = await gradientsWith(counter.cache);
  expect(await gradientsWith(counter.cache)).toEqual(first);
  expect(counter.puts).toBe(1);
});

test("other targets are derived on their own", async () => {
  const { entries, cache } = counting();
  await gradientsWith(cache);
  await gradientsWith(cache, ["v_proj"]);
  expect(entries.size).toBe(2);
});

test("an entry that is broken or belongs elsewhere is made anew", async () => {
  const counter = counting();
  const right = await gradientsWith(counter.cache);
  await gradientsWith(counter.cache, ["v_proj"]);
  const [[key, entry], [, foreign]] = [...counter.entries] as [[string, Uint8Array], [string, Uint8Array]];
  const flipped = entry.slice();
  flipped[flipped.length - 1]! ^= 1;
  for (const bad of [flipped, entry.subarray(0, 1000), new Uint8Array(), new Uint8Array(7), foreign]) {
    counter.entries.set(key, bad);
    const before = counter.puts;
    expect(await gradientsWith(counter.cache)).toEqual(right);
    expect(counter.puts).toBe(before + 1);
    expect(counter.entries.get(key)).toEqual(entry);
  }
});

test("a folder keeps a file for each derivation", async () => {
  const folder = mkdtempSync(join(tmpdir(), "derivations-"));
  try {
    const cache = folderCache(join(folder, "made/when/needed"));
    const first = await gradientsWith(cache);
    const [file, ...others] = readdirSync(join(folder, "made/when/needed"));
    expect(others).toEqual([]);
    expect(await gradientsWith(cache)).toEqual(first);
    const path = join(folder, "made/when/needed", file!);
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, whole.length / 2));
    expect(await Promise.all([gradientsWith(cache), gradientsWith(cache)])).toEqual([first, first]);
    expect(readFileSync(path)).toEqual(whole);
    rmSync(path);
    expect(await gradientsWith(cache)).toEqual(first);
    expect(readdirSync(join(folder, "made/when/needed"))).toEqual([file]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("keys are of this version of the package", () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
  expect(VERSION).toBe(version);
});
