import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Keys, SCOPES, type Scope } from "@microlora/server";
import { columns, type Terminal, visible } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";

export const KEYS_USAGE = `Usage: microlora keys add [--data FOLDER] [--tenant NAME] [--scopes read,feedback,admin]
       microlora keys list [--data FOLDER]
       microlora keys remove ID [--data FOLDER]

Keys for "microlora serve". The file has their hashes only; a key is shown once, when it is made. A service that runs
takes up new keys within a second; one that was started without keys has to be restarted.

--data FOLDER     the folder of the service (default "./users")
--tenant NAME     whose users and documents the key sees (default "default"); tenants never see each other
--scopes LIST     what it may do: read, feedback, admin (default "read,feedback")`;

interface Values {
  readonly data: string;
  readonly tenant: string;
  readonly scopes: string;
}

type Action = (keys: Keys, values: Values, rest: readonly string[], terminal: Terminal) => unknown;

const ACTIONS: Readonly<Record<string, Action>> = { add, list, remove };

/** Makes, lists and removes keys. */
export async function keys(args: readonly string[], terminal: Terminal): Promise<void> {
  const options = {
    help: { type: "boolean", short: "h", default: false },
    data: { type: "string", default: "./users" },
    tenant: { type: "string", default: "default" },
    scopes: { type: "string", default: "read,feedback" },
  } as const;
  const { values, positionals } = parsed(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  if (values.help) {
    terminal.print(KEYS_USAGE);
    return;
  }
  const [name = "", ...rest] = positionals;
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name]! : undefined;
  if (action === undefined) throw new UsageError(KEYS_USAGE);
  mkdirSync(values.data, { recursive: true });
  await action(new Keys(join(values.data, "keys.json")), values, rest, terminal);
}

async function add(stored: Keys, { tenant, scopes }: Values, _: readonly string[], terminal: Terminal): Promise<void> {
  const names = scopes.split(",").map((each) => each.trim());
  const unknown = names.find((each) => !(SCOPES as readonly string[]).includes(each));
  if (unknown !== undefined) throw new UsageError(`There is no scope ${JSON.stringify(unknown)}; ${SCOPES.join(", ")}`);
  terminal.print(await stored.add(tenant, names as Scope[]));
}

function list(stored: Keys, _: Values, __: readonly string[], terminal: Terminal): void {
  const rows = stored.list().map(({ id, tenant, scopes, created }) => [id, visible(tenant), scopes.join(","), created]);
  for (const line of columns([["id", "tenant", "scopes", "made"], ...rows])) terminal.print(line);
}

async function remove(stored: Keys, _: Values, [id = ""]: readonly string[], terminal: Terminal): Promise<void> {
  if (!(await stored.remove(id))) throw new UsageError(`There is no key ${JSON.stringify(id)}`);
  terminal.print("Removed.");
}
