import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { parsed, UsageError } from "../usage-error.js";
import { DOCUMENT_ROLES, LOG_ROLES, parseColumns } from "./columns.js";
import type { EvaluateOptions } from "./options.js";
import { FORMAT_NAMES } from "./rows/open.js";

export const EVALUATE_USAGE = `Usage: microlora evaluate LOG [--documents FILE] [options]

Would it help your users? Replays a log of their choices in the order of time, user by user, beside simple baselines that are
tuned on some users and reported on others. Nothing leaves this machine.

LOG is JSON Lines, CSV, TSV (each may be .gz) or Parquet, a row for each event:
  user, time, query | context (text or vector), shown (documents), chosen (document or documents, empty for none) | rating
  propensity (how likely the choice was seen), topic: where they are there
FILE has the documents: id, and text or vector, and name (what they are looked for by). Without it, what is shown and chosen are
texts, or objects of { id, text | vector }. A list in a cell is JSON, or divided by | or ;.

  --documents FILE          the documents, in any of the formats
  --columns LIST            names that are not the usual ones: user=uid,chosen=clicked_id
  --document-columns LIST   the same for the documents: id=sku,text=title+brand,name=title
  --format NAME             ${FORMAT_NAMES.join(", ")}; by default as the log's name ends
  --model FOLDER            a sentence embedder in ONNX with tokenizer.json, in place of the built-in one; it needs onnxruntime-node
  --liked N                 take ratings of N and more as choices, and leave the others out
  --query mean|last         what stands for queries where the log has none: the mean of the documents, or the one chosen before
  --candidates N|all        documents that a choice is ranked among where the log does not say what was shown (default 50)
  --users N                 users to report on, at most (default 200)
  --least-events N          events that a user must have (default 10)
  --most-documents N        documents to search, at most; those that were seen, and others at random (default 20000)
  --clip N                  largest weight by inverse propensity (default 10)
  --threads N               default: one for each core
  --work FOLDER             keep the work there: the same call goes on where it was stopped
  --html FILE               a report with plots, in one file
  --json                    one JSON object instead of the text
  --force                   overwrite FILE of --html`;

/** What the command was called with. */
export interface EvaluateArguments extends EvaluateOptions {
  readonly threads: number;
  readonly work: string | null;
  readonly html: string | null;
  readonly json: boolean;
  readonly force: boolean;
}

/** @returns null where help is wanted @throws UsageError */
export function parseArguments(args: readonly string[]): EvaluateArguments | null {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values, positionals } = parsed(() =>
    parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        documents: text,
        columns: text,
        "document-columns": text,
        format: text,
        model: text,
        liked: text,
        query: text,
        candidates: { ...text, default: "50" },
        users: { ...text, default: "200" },
        "least-events": { ...text, default: "10" },
        "most-documents": { ...text, default: "20000" },
        clip: { ...text, default: "10" },
        threads: { ...text, default: String(availableParallelism()) },
        work: text,
        html: text,
        json: flag,
        force: flag,
        help: { ...flag, short: "h" },
      },
    }),
  );
  if (values.help) return null;
  const [log, ...others] = positionals;
  if (log === undefined) throw new UsageError(EVALUATE_USAGE);
  if (others.length > 0) throw new UsageError(`${others[0]} is one file too many. Pass documents by --documents`);
  return {
    log,
    documents: values.documents ?? null,
    format: oneOf("--format", values.format, FORMAT_NAMES),
    columns: columnsOf("--columns", values.columns, LOG_ROLES),
    documentColumns: columnsOf("--document-columns", values["document-columns"], DOCUMENT_ROLES),
    model: values.model ?? null,
    liked: values.liked === undefined ? null : number("--liked", values.liked, Number.NEGATIVE_INFINITY),
    query: oneOf("--query", values.query, ["mean", "last"] as const),
    candidates: values.candidates === "all" ? null : whole("--candidates", values.candidates, 2),
    users: whole("--users", values.users, 10),
    leastEvents: whole("--least-events", values["least-events"], 5),
    mostDocuments: whole("--most-documents", values["most-documents"], 10),
    clip: number("--clip", values.clip, 1),
    threads: whole("--threads", values.threads, 1),
    work: values.work ?? null,
    html: values.html ?? null,
    json: values.json,
    force: values.force,
  };
}

function oneOf<Name extends string>(option: string, value: string | undefined, names: readonly Name[]): Name | null {
  if (value === undefined) return null;
  if ((names as readonly string[]).includes(value)) return value as Name;
  throw new UsageError(`${option} is ${JSON.stringify(value)}. Pass one of ${names.join(", ")}`);
}

function columnsOf<Role extends string>(option: string, value: string | undefined, roles: readonly Role[]) {
  if (value === undefined) return {};
  const columns = parseColumns(value, roles);
  if (typeof columns !== "string") return columns;
  throw new UsageError(`${option} ${columns}. Pass ${roles[0]}=COLUMN,…`);
}

function number(option: string, text: string, least: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= least) return value;
  const bound = least > Number.NEGATIVE_INFINITY ? ` of at least ${least}` : "";
  throw new UsageError(`${option} is ${JSON.stringify(text)}. Pass a number${bound}`);
}

function whole(option: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new UsageError(`${option} is ${JSON.stringify(text)}. Pass a whole number of at least ${least}`);
}
