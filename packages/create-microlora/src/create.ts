import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The templates, by name. */
export const TEMPLATES = {
  vite: "a page, by Vite; what was learned stays in the browser",
  worker: "a page whose search runs in a web worker, by Vite",
  next: "Next, with a React hook",
  node: "a server: Node, Hono and SQLite",
  cloudflare: "a Cloudflare Worker, with a Durable Object for each user",
} as const;

export type Template = keyof typeof TEMPLATES;

/** The error of a folder that cannot be made. */
export class CreateError extends Error {
  override readonly name = "CreateError";

  constructor(
    readonly code: "not-empty" | "no-name" | "unknown-template",
    message: string,
  ) {
    super(message);
  }
}

const FOLDER = fileURLToPath(new URL("../templates/", import.meta.url));

/**
 * Copies a template into a new or empty folder.
 * @returns the path of the folder
 * @throws CreateError `not-empty`, `no-name`, `unknown-template`; nothing was written then
 */
export function create(folder: string, template: string): string {
  if (!Object.hasOwn(TEMPLATES, template)) {
    const names = Object.keys(TEMPLATES).join(", ");
    throw new CreateError("unknown-template", `There is no template ${JSON.stringify(template)}; there are ${names}.`);
  }
  const path = resolve(folder);
  const name = basename(path)
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+|-+$/g, "");
  if (name === "") throw new CreateError("no-name", `${path} gives no name for a package: choose another folder.`);
  if (existsSync(path) && readdirSync(path).length > 0) {
    throw new CreateError("not-empty", `${path} is there already, and not empty: choose another folder.`);
  }
  cpSync(join(FOLDER, template), path, { recursive: true });
  // npm leaves files of this name out of packages, so it is not among the templates.
  writeFileSync(join(path, ".gitignore"), "node_modules\ndist\n.next\n.wrangler\n*.db\n*.db-*\n*.witness\n");
  const manifest = join(path, "package.json");
  writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/"name": "[^"]*"/, `"name": "${name}"`));
  return path;
}
