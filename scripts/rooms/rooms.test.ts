import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rules } from "./make.mjs";
import { NAMES, NODE_ONLY, PACKAGES } from "./rooms.mjs";

/** One import that is planted in a file, and whether the linter is to refuse it. */
interface Planted {
  readonly file: string;
  readonly imports: string;
  readonly refused: boolean;
}

const depths = ["", "deep/", "deep/deeper/"];

function plantedIn([name, { packages, rooms, files }]: [string, (typeof PACKAGES)["microlora"]]): Planted[] {
  const source = `packages/${name}/src`;
  const pairs = rooms.flatMap((from, i) =>
    rooms.flatMap((to, j) =>
      i === j
        ? []
        : depths.map((depth) => ({
            file: `${source}/${from}/${depth}${to}-planted.ts`,
            imports: `${"../".repeat(depth.split("/").length)}${to}/thing.js`,
            refused: j > i,
          })),
    ),
  );
  const upwards = rooms.flatMap((from) =>
    [...files, "index", "node"].map((to) => ({
      file: `${source}/${from}/${to}-planted.ts`,
      imports: `../${to}.js`,
      refused: true,
    })),
  );
  const foreign = [...rooms, "."].flatMap((room) =>
    Object.values(NAMES)
      .filter((other) => other !== NAMES[name as keyof typeof NAMES])
      .map((other) => ({
        file: `${source}/${room}/${other.replace("/", "-")}-planted.ts`,
        imports: other,
        refused: !(packages as readonly string[]).includes(other),
      })),
  );
  // Only where it is refused: asked for by name, the rule holds everywhere.
  const nodeModules = rooms
    .filter((room) => !NODE_ONLY.includes(name) && !NODE_ONLY.includes(`${name}/${room}`))
    .map((room) => ({ file: `${source}/${room}/fs-planted.ts`, imports: "node:fs", refused: true }));
  return [...pairs, ...upwards, ...foreign, ...nodeModules];
}

let folder: string;
const all = Object.entries(PACKAGES).flatMap((entry) => plantedIn(entry as never));

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "rooms-"));
  for (const file of ["biome.json", "biome.rooms.generated.json", ".gitignore"]) cpSync(file, join(folder, file));
  for (const { file, imports } of all) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `export * from "${imports}";\n`);
  }
  execFileSync("git", ["init", "-q"], { cwd: folder });
});
afterAll(() => rmSync(folder, { recursive: true }));

test("the committed rules are those of the table", () => {
  expect(JSON.parse(readFileSync("biome.rooms.generated.json", "utf8"))).toEqual({ overrides: rules() });
});

test(`of ${all.length} planted imports the linter refuses those that go up, and no other`, () => {
  const biome = join(process.cwd(), "node_modules/.bin/biome");
  const rulesOnly = ["--only=style/noRestrictedImports", "--only=correctness/noNodejsModules"];
  const args = ["lint", "--reporter=json", "--max-diagnostics=none", ...rulesOnly, "."];
  let report = "";
  try {
    report = execFileSync(biome, args, { cwd: folder, encoding: "utf8", maxBuffer: 2 ** 28, stdio: "pipe" });
  } catch (error) {
    report = (error as { stdout: string }).stdout;
  }
  const { diagnostics } = JSON.parse(report) as { diagnostics: { location: { path: string | { file: string } } }[] };
  const refused = new Set(
    diagnostics.map(({ location: { path } }) => (typeof path === "string" ? path : path.file).replace(/^\.\//, "")),
  );
  const normal = (file: string) => file.replace("/./", "/");
  expect([...refused].sort()).toEqual(
    all
      .filter((each) => each.refused)
      .map(({ file }) => normal(file))
      .sort(),
  );
});
