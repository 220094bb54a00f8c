/**
 * Writes the public surface of each entry point to `docs/api/*.api.md`, so that a change of it is seen in review. With `--check` it writes
 * nothing, and fails where a report is not what the sources give.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

const PACKAGES = ["microlora", "formats", "embed", "onnx"];
const REPORTS = resolve("docs/api");
const check = process.argv.includes("--check");
const scratch = mkdtempSync(join(tmpdir(), "api-"));

/** The entry points of a package: the name of its report, and the declarations. */
function entriesOf(folder) {
  const { exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return Object.entries(exports).flatMap(([path, target]) => {
    const types = [target].flatMap(typesOf)[0];
    if (types === undefined) return [];
    const name = path === "." ? "index" : path.slice(2).replaceAll("/", "-");
    return [{ name, types: resolve(folder, types) }];
  });
}

function typesOf(target) {
  if (typeof target === "string") return [];
  return Object.entries(target).flatMap(([key, value]) =>
    key === "types" ? [value.default ?? value] : typesOf(value),
  );
}

function reportOf(packageName, folder, { name, types }) {
  const fileName = `${packageName}-${name}.api.md`;
  const config = ExtractorConfig.prepare({
    packageJsonFullPath: resolve(folder, "package.json"),
    configObjectFullPath: undefined,
    configObject: {
      projectFolder: resolve(folder),
      mainEntryPointFilePath: types,
      newlineKind: "lf",
      compiler: {
        overrideTsconfig: { compilerOptions: { lib: ["ES2023", "ESNext.Disposable", "DOM"], module: "NodeNext" } },
      },
      apiReport: {
        enabled: true,
        reportFileName: fileName,
        reportFolder: scratch,
        reportTempFolder: join(scratch, "temp"),
        includeForgottenExports: true,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: "error" } },
        extractorMessageReporting: { default: { logLevel: "none" } },
        tsdocMessageReporting: { default: { logLevel: "none" } },
      },
    },
  });
  Extractor.invoke(config, { localBuild: true, showVerboseMessages: false, messageCallback: quiet });
  return [fileName, readFileSync(join(scratch, fileName), "utf8")];
}

function quiet(message) {
  if (message.logLevel !== "error") message.handled = true;
}

try {
  mkdirSync(join(scratch, "temp"));
  mkdirSync(REPORTS, { recursive: true });
  const reports = new Map(
    PACKAGES.flatMap((name) => {
      const folder = join("packages", name);
      return entriesOf(folder).map((entry) => reportOf(name, folder, entry));
    }),
  );
  const stale = readdirSync(REPORTS).filter((file) => !reports.has(file));
  for (const [file, text] of reports) {
    const path = join(REPORTS, file);
    if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
    stale.push(file);
    if (!check) writeFileSync(path, text);
  }
  if (!check) for (const file of stale.filter((each) => !reports.has(each))) rmSync(join(REPORTS, file));
  if (check && stale.length > 0) {
    console.error(
      `The public surface is not what docs/api says: ${stale.join(", ")}. Run npm run api, and review the difference.`,
    );
    process.exitCode = 1;
  }
  console.log(`${reports.size} reports, ${stale.length} ${check ? "stale" : "written"}`);
} finally {
  rmSync(scratch, { recursive: true });
}
