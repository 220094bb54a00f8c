/**
 * Writes the public surface of each entry point to `docs/api/*.api.md`, so that a change of it is seen in review. With `--check` it writes
 * nothing, and fails where a report is not what the sources give. An exported name without a doc comment fails either way.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CompilerState, Extractor, ExtractorConfig } from "@microsoft/api-extractor";

/** Those that have entry points; the others are programs. */
const PACKAGES = [
  "microlora",
  "search",
  "embed",
  "onnx",
  "formats",
  "chat",
  "store",
  "server",
  "integrations",
  "evaluate",
];
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

function configOf({ packageName, folder, name, types }) {
  const fileName = `${packageName}-${name}.api.md`;
  return ExtractorConfig.prepare({
    packageJsonFullPath: resolve(folder, "package.json"),
    configObjectFullPath: undefined,
    configObject: {
      projectFolder: resolve(folder),
      mainEntryPointFilePath: types,
      newlineKind: "lf",
      compiler: {
        overrideTsconfig: {
          compilerOptions: { lib: ["ES2023", "ESNext.Disposable", "DOM"], module: "NodeNext", types: ["node"] },
        },
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
}

/** The report of one entry point. @param compilerState of all of them, which is made once */
function reportOf(config, compilerState) {
  Extractor.invoke(config, { compilerState, localBuild: true, showVerboseMessages: false, messageCallback: quiet });
  return [config.reportConfigs[0].fileName, readFileSync(join(scratch, config.reportConfigs[0].fileName), "utf8")];
}

/** The exported names of a report, and their members, that have no doc comment. */
function undocumentedIn([file, text]) {
  const names = [];
  let owner = { name: "", isExported: false };
  let isUndocumented = false;
  for (const line of text.split("\n")) {
    const declared =
      /^(export )?(?:declare |abstract )*(?:class|interface|function|const|type|namespace|enum) (\w+)/.exec(line);
    if (declared !== null) owner = { name: declared[2], isExported: declared[1] !== undefined };
    if (/^\s*(\/\/|@|$)/.test(line)) {
      isUndocumented ||= line.includes("(undocumented)");
      continue;
    }
    if (isUndocumented && owner.isExported) names.push(`${file}: ${declared ? "" : `${owner.name}: `}${line.trim()}`);
    isUndocumented = false;
  }
  return names;
}

function quiet(message) {
  if (message.logLevel !== "error") message.handled = true;
}

try {
  mkdirSync(join(scratch, "temp"));
  mkdirSync(REPORTS, { recursive: true });
  const entries = PACKAGES.flatMap((packageName) => {
    const folder = join("packages", packageName);
    return entriesOf(folder).map((entry) => ({ packageName, folder, ...entry }));
  });
  const configs = entries.map(configOf);
  const additionalEntryPoints = entries.map(({ types }) => types);
  const compilerState = CompilerState.create(configs[0], { additionalEntryPoints });
  const reports = new Map(configs.map((config) => reportOf(config, compilerState)));
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
  const undocumented = [...reports].flatMap(undocumentedIn);
  if (undocumented.length > 0) {
    console.error(`${undocumented.length} exported names without a doc comment:\n${undocumented.join("\n")}`);
    process.exitCode = 1;
  }
  console.log(`${reports.size} reports, ${stale.length} ${check ? "stale" : "written"}`);
} finally {
  rmSync(scratch, { recursive: true });
}
