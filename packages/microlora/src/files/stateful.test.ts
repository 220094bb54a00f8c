import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { loadWith, replaceFiles, type Saveable, save } from "../node.js";
import type { Over } from "./versions.js";

const root = mkdtempSync(join(tmpdir(), "microlora-stateful-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Names of two files, one of them by a link too. */
const NAMES = ["a", "b", "link-to-a"] as const;
type Name = (typeof NAMES)[number];
const fileOf = (name: Name) => (name === "link-to-a" ? "a" : name);

interface State extends Saveable {
  text: string;
  /** What the model says the state knows of each file. */
  readonly known: Map<string, string | undefined>;
}

function stateOf(text: string): State {
  const state: State = { text, known: new Map(), toBytes: () => Buffer.from(state.text) };
  return state;
}

/** What is on the disk, as the model says. */
interface Model {
  readonly files: Map<string, { text: string; mode: number }>;
  readonly states: State[];
  clock: number;
}

/** What a save should do, done to the model. */
function saved({ files }: Model, state: State, name: Name, over: Over): "saved" | "conflict" {
  const file = fileOf(name);
  const now = files.get(file);
  const isExpected =
    over === "anything" ||
    (over === "nothing" ? now === undefined : !state.known.has(file) || state.known.get(file) === now?.text);
  if (!isExpected) return "conflict";
  files.set(file, { text: state.text, mode: now?.mode ?? 0o644 });
  state.known.set(file, state.text);
  return "saved";
}

type Step =
  | { readonly kind: "saves"; readonly saves: readonly { state: number; name: Name; over: Over }[] }
  | { readonly kind: "load"; readonly name: Name }
  | { readonly kind: "both"; readonly fails: boolean }
  | { readonly kind: "write"; readonly name: "a" | "b" }
  | { readonly kind: "remove"; readonly name: "a" | "b" }
  | { readonly kind: "mode"; readonly name: "a" | "b"; readonly mode: number };

const anyName = fc.constantFrom(...NAMES);
const anyOver = fc.constantFrom<Over>("known", "known", "known", "anything", "nothing");
const anyFile = fc.constantFrom("a" as const, "b" as const);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(fc.record({ state: fc.nat(5), name: anyName, over: anyOver }), { minLength: 1, maxLength: 5 })
      .map((saves) => ({ kind: "saves" as const, saves })),
  },
  { weight: 2, arbitrary: anyName.map((name) => ({ kind: "load" as const, name })) },
  fc.boolean().map((fails) => ({ kind: "both" as const, fails })),
  fc.record({ kind: fc.constantFrom("write" as const, "remove" as const), name: anyFile }),
  fc.record({ kind: fc.constant("mode" as const), name: anyFile, mode: fc.constantFrom(0o600, 0o640, 0o644) }),
);

const codeOf = (error: unknown) => String((error as { code?: unknown }).code);

async function saveAll(folder: string, model: Model, step: Step & { kind: "saves" }): Promise<void> {
  const expected: string[] = [];
  const calls = step.saves.map(({ state: i, name, over }) => {
    const state = model.states[i % model.states.length]!;
    state.text = `version ${model.clock++}`;
    const call = save(state, join(folder, name), { over }).then(() => "saved", codeOf);
    expected.push(saved(model, state, name, over));
    return call;
  });
  expect(await Promise.all(calls)).toEqual(expected);
}

async function loadOne(folder: string, { files, states }: Model, name: Name): Promise<void> {
  const file = files.get(fileOf(name));
  const state = await loadWith(join(folder, name), (bytes) => stateOf(Buffer.from(bytes).toString())).catch(codeOf);
  if (file === undefined) {
    expect(state).toBe("no-such-file");
  } else {
    expect((state as State).text).toBe(file.text);
    (state as State).known.set(fileOf(name), file.text);
    states.push(state as State);
  }
}

async function replaceBoth(folder: string, model: Model, fails: boolean): Promise<void> {
  const text = `version ${model.clock++}`;
  const files = (["a", "b"] as const).map((name) => ({
    path: join(folder, name),
    write: async (append: (bytes: Uint8Array) => Promise<void>) => {
      await append(Buffer.from(text));
      if (fails && name === "b") throw new Error("the second fails");
    },
  }));
  const outcome = await replaceFiles(files).then(() => "replaced", String);
  expect(outcome).toBe(fails ? "Error: the second fails" : "replaced");
  if (fails) return;
  for (const name of ["a", "b"]) model.files.set(name, { text, mode: model.files.get(name)?.mode ?? 0o644 });
}

async function take(folder: string, model: Model, step: Step): Promise<void> {
  if (step.kind === "saves") return saveAll(folder, model, step);
  if (step.kind === "load") return loadOne(folder, model, step.name);
  if (step.kind === "both") return replaceBoth(folder, model, step.fails);
  const { files } = model;
  const path = join(folder, step.name);
  const now = files.get(step.name);
  if (step.kind === "write") {
    const text = `version ${model.clock++}`;
    writeFileSync(path, text);
    files.set(step.name, { text, mode: now?.mode ?? 0o644 });
  } else if (step.kind === "remove") {
    rmSync(path, { force: true });
    files.delete(step.name);
  } else if (now !== undefined) {
    chmodSync(path, step.mode);
    now.mode = step.mode;
  }
}

function checkDisk(folder: string, { files }: Model): void {
  const names = readdirSync(folder).filter((name) => name !== "link-to-a");
  expect(names.sort()).toEqual([...files.keys()].sort());
  for (const [name, { text, mode }] of files) {
    expect(readFileSync(join(folder, name), "utf8")).toBe(text);
    expect(statSync(join(folder, name)).mode & 0o777).toBe(mode);
  }
}

test("random saves, loads and changes from outside agree with a model of the files", async () => {
  const umask = process.umask(0o022);
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 15 }), async (steps) => {
      const folder = mkdtempSync(join(root, "folder-"));
      symlinkSync("a", join(folder, "link-to-a"));
      const model: Model = { files: new Map(), states: [stateOf("new"), stateOf("new too")], clock: 0 };
      for (const step of steps) {
        await take(folder, model, step);
        checkDisk(folder, model);
      }
      rmSync(folder, { recursive: true });
    }),
    { numRuns: 80 },
  );
  process.umask(umask);
});
