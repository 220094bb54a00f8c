// Writes the reference, one page for each exported name, from the declarations of the built packages.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Application } from "typedoc";

const PACKAGES = ["microlora", "search", "embed", "onnx", "formats", "chat", "store", "server", "integrations"];

/** Every entry point of the packages that has declarations, by what an import names. */
function entryPoints(root) {
  return PACKAGES.flatMap((folder) => {
    const path = join(root, "packages", folder);
    const { name, exports } = JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
    return Object.entries(exports).flatMap(([entry, target]) => {
      const types = target.types?.default ?? target.types;
      return types === undefined ? [] : [{ name: `${name}${entry.slice(1)}`, path: join(path, types) }];
    });
  });
}

/** What an import names, for a module that typedoc names by its file, without `index`. */
function nameOf(module, entries) {
  const file = module.name.replace(/\/dist$/, "/dist/index");
  const entry = entries.find(({ path }) => path.endsWith(`packages/${file}.d.ts`));
  if (entry === undefined) throw new Error(`no package has an entry ${module.name}`);
  return entry.name;
}

/** @param root of the repository @param out folder for the pages @returns the names of the entry points, each with its page */
export async function writeReference(root, out) {
  const entries = entryPoints(root);
  const app = await Application.bootstrapWithPlugins({
    plugin: ["typedoc-plugin-markdown"],
    entryPoints: entries.map(({ path }) => path),
    tsconfig: join(import.meta.dirname, "tsconfig.json"),
    out,
    router: "member",
    readme: "none",
    name: "Reference",
    disableSources: true,
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    skipErrorChecking: true,
    hidePageHeader: true,
    hideBreadcrumbs: true,
    hideGroupHeadings: false,
    parametersFormat: "table",
    interfacePropertiesFormat: "table",
    classPropertiesFormat: "table",
    typeDeclarationFormat: "table",
    propertyMembersFormat: "table",
    enumMembersFormat: "table",
    tableColumnSettings: {
      hideSources: true,
      hideModifiers: true,
      hideInherited: true,
      hideOverrides: true,
      leftAlignHeaders: true,
    },
    entryFileName: "index",
    logLevel: "Error",
  });
  const project = await app.convert();
  if (project === undefined) throw new Error("typedoc gave no project");
  for (const module of project.children) module.name = nameOf(module, entries);
  await app.generateOutputs(project);
  if (app.logger.hasErrors()) throw new Error("typedoc found errors");
  return entries;
}
