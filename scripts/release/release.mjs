// `npm run release -- --dry-run` does all of a release but publishing: versions and changelogs are looked at, the packages are built from
// nothing, packed, checked, offered to npm, and installed one by one into an empty project. Without --dry-run it publishes and tags.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildClean, manifestOf, PACKAGES, packInto } from "../pack.mjs";
import { checkShape } from "../shape.mjs";
import { checkEachAlone } from "./alone.mjs";

const { values } = parseArgs({ options: { "dry-run": { type: "boolean", default: false } } });
const isDry = values["dry-run"];
const run = (program, ...args) => execFileSync(program, args, { stdio: "inherit" });
const said = (program, ...args) => execFileSync(program, args, { encoding: "utf8" }).trim();

/** Refuses a release that is not ready; a dry run says so and goes on. */
function expect(isRight, problem) {
  if (isRight) return;
  if (!isDry) throw new Error(problem);
  console.log(`not ready: ${problem}`);
}

function checkState() {
  expect(said("git", "status", "--porcelain") === "", "there are changes that are not committed");
  const pending = readdirSync(".changeset").filter((name) => name.endsWith(".md") && name !== "README.md");
  expect(pending.length === 0, `${pending.length} changes have no version yet: run npm run version, and commit`);
}

/** All packages have one version, and ask for each other by it. @returns the version */
function checkVersions() {
  const manifests = PACKAGES.map(manifestOf);
  const { version } = manifests[0];
  for (const { name, version: own, dependencies = {}, license, publishConfig } of manifests) {
    if (own !== version) throw new Error(`${name} is ${own}, ${manifests[0].name} is ${version}`);
    if (license === undefined) throw new Error(`${name} names no license`);
    if (name.startsWith("@") && publishConfig?.access !== "public")
      throw new Error(`${name} would be published privately`);
    for (const other of manifests) {
      const wanted = dependencies[other.name] ?? version;
      if (wanted !== version) throw new Error(`${name} asks for ${other.name} ${wanted}, which is ${version}`);
    }
  }
  const changelogs = ["CHANGELOG.md", ...PACKAGES.map((folder) => join("packages", folder, "CHANGELOG.md"))];
  const isTold = changelogs.some((path) => existsSync(path) && readFileSync(path, "utf8").includes(`## ${version}`));
  if (!isTold) throw new Error(`no changelog has a section for ${version}`);
  expect(said("git", "tag", "--list", `v${version}`) === "", `v${version} is a tag already`);
  return version;
}

checkState();
const version = checkVersions();
const folder = mkdtempSync(join(tmpdir(), "microlora-release-"));
try {
  buildClean();
  const packed = packInto(folder).map((each) => ({ ...each, manifest: manifestOf(each.folder) }));
  for (const each of packed) {
    console.log(`${each.name} ${version}: ${each.size} bytes packed, ${each.unpackedSize} unpacked`);
    await checkShape(each);
    run("npm", "publish", each.tarball, "--dry-run", "--loglevel=error");
  }
  await checkEachAlone(packed);
  if (!isDry) {
    for (const { tarball } of packed) run("npm", "publish", tarball);
    run("git", "tag", `v${version}`);
  }
  console.log(
    isDry ? `${version} would be published: ${packed.map(({ name }) => name).join(", ")}` : `${version} is published`,
  );
} finally {
  rmSync(folder, { recursive: true });
}
