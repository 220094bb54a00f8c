import { EvaluateError } from "./evaluate-error.js";

/** What a column of a log may hold, with the names that it is known by; the first name that the file has counts. */
const LOG_ALIASES = {
  user: [
    ...["user", "userid", "uid", "username", "customer", "customerid", "visitor", "visitorid", "member", "memberid"],
    ...["account", "accountid", "household"],
  ],
  time: ["time", "timestamp", "ts", "datetime", "date", "createdat", "eventtime", "at"],
  query: [
    "query",
    "q",
    "context",
    "search",
    "searchquery",
    "searchterm",
    "keywords",
    "prompt",
    "queryvector",
    "queryembedding",
  ],
  shown: ["shown", "candidates", "impressions", "impression", "results", "displayed", "slate", "shownids"],
  chosen: [
    ...[
      "chosen",
      "clicked",
      "selected",
      "chosenid",
      "clickedid",
      "item",
      "itemid",
      "document",
      "documentid",
      "doc",
      "docid",
    ],
    ...["movieid", "productid", "articleid", "asin", "sku"],
  ],
  rating: ["rating", "stars", "grade"],
  propensity: ["propensity", "propensities", "examination"],
  topic: ["topic", "category"],
} as const;

/** The same of a file of documents. */
const DOCUMENT_ALIASES = {
  id: [
    ...[
      "id",
      "document",
      "documentid",
      "doc",
      "docid",
      "item",
      "itemid",
      "movieid",
      "productid",
      "articleid",
      "asin",
      "sku",
    ],
  ],
  text: ["text", "content", "body", "description", "title", "name"],
  name: ["name", "title", "headline", "label"],
  vector: ["vector", "embedding", "values"],
} as const;

export type LogRole = keyof typeof LOG_ALIASES;
export type DocumentRole = keyof typeof DOCUMENT_ALIASES;

export const LOG_ROLES = Object.keys(LOG_ALIASES) as LogRole[];
export const DOCUMENT_ROLES = Object.keys(DOCUMENT_ALIASES) as DocumentRole[];

/** Columns by role; several names are joined. */
export type Columns<Role extends string> = { readonly [R in Role]?: readonly string[] };

/** Which column of a log is what. @throws EvaluateError `unknown-column`, `missing-column` */
export function logColumns(path: string, names: readonly string[], given: Columns<LogRole>): Columns<LogRole> {
  const columns = resolve(path, "--columns", names, given, LOG_ALIASES);
  if (columns.user === undefined) missing(path, "--columns", "user", "who the users are", names);
  if (columns.chosen === undefined) missing(path, "--columns", "chosen", "what was chosen or rated", names);
  return columns;
}

/** Which column of a file of documents is what. @throws EvaluateError `unknown-column`, `missing-column` */
export function documentColumns(
  path: string,
  names: readonly string[],
  given: Columns<DocumentRole>,
): Columns<DocumentRole> {
  const columns = resolve(path, "--document-columns", names, given, DOCUMENT_ALIASES);
  if (columns.id === undefined) missing(path, "--document-columns", "id", "the documents' ids", names);
  if (columns.text === undefined && columns.vector === undefined) {
    missing(path, "--document-columns", "text", "the documents' texts or vectors", names);
  }
  return columns;
}

function resolve<Role extends string>(
  path: string,
  option: string,
  names: readonly string[],
  given: Columns<Role>,
  aliases: Readonly<Record<Role, readonly string[]>>,
): Columns<Role> {
  const entries = (Object.keys(aliases) as Role[]).flatMap((role) => {
    const own = given[role];
    const unknown = own?.find((name) => !names.includes(name));
    if (unknown !== undefined) {
      const problem = `has no column ${JSON.stringify(unknown)}; it has ${listed(names)}`;
      throw new EvaluateError("unknown-column", path, problem, `Name one of these in ${option}`);
    }
    const found = own ?? aliased(names, aliases[role]);
    return found === undefined ? [] : [[role, found] as const];
  });
  return Object.fromEntries(entries) as Columns<Role>;
}

function aliased(names: readonly string[], aliases: readonly string[]): readonly string[] | undefined {
  const plain = names.map((name) => name.toLowerCase().replace(/[^a-z0-9]/g, ""));
  const alias = aliases.find((each) => plain.includes(each));
  return alias === undefined ? undefined : [names[plain.indexOf(alias)]!];
}

function missing(path: string, option: string, role: string, what: string, names: readonly string[]): never {
  if (names.length === 0) {
    throw new EvaluateError("missing-column", path, "has no rows", "Pass a file with a row for each event");
  }
  const problem = `has no column that is known to say ${what}; it has ${listed(names)}`;
  throw new EvaluateError("missing-column", path, problem, `Name it: ${option} ${role}=COLUMN`);
}

function listed(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name)).join(", ");
}

/** Reads `user=uid,chosen=item`; `text=title+genres` joins columns. @returns the problem where it is not that */
export function parseColumns<Role extends string>(text: string, roles: readonly Role[]): Columns<Role> | string {
  const columns: { [R in Role]?: readonly string[] } = {};
  for (const part of text.split(",")) {
    const [role = "", ...rest] = part.split("=");
    const name = rest.join("=");
    if (!(roles as readonly string[]).includes(role.trim())) {
      return `has ${JSON.stringify(role.trim())}, which is none of ${roles.join(", ")}`;
    }
    if (name.trim() === "") return `names no column for ${role.trim()}`;
    columns[role.trim() as Role] = name.split("+").map((each) => each.trim());
  }
  return columns;
}
