import { stat } from "node:fs/promises";
import { EvaluateError } from "../evaluate-error.js";
import { openCsv } from "./csv.js";
import { openJsonLines } from "./jsonl.js";
import { openParquet } from "./parquet.js";
import type { RowSource } from "./row.js";

type Open = (path: string, onShare: (share: number) => void) => Promise<RowSource>;

const FORMATS: Readonly<Record<string, Open>> = {
  jsonl: async (path, onShare) => openJsonLines(path, await sharesOf(path, onShare)),
  csv: async (path, onShare) => openCsv(path, ",", await sharesOf(path, onShare)),
  tsv: async (path, onShare) => openCsv(path, "\t", await sharesOf(path, onShare)),
  parquet: openParquet,
};

/** Names of the formats, as `--format` takes them. */
export const FORMAT_NAMES = Object.keys(FORMATS);

const FORMAT_OF_ENDING: Readonly<Record<string, string>> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "jsonl",
  csv: "csv",
  tsv: "tsv",
  parquet: "parquet",
};

/**
 * Opens a file of rows; JSON Lines, CSV and TSV may be packed by gzip.
 * @param format by default told by the file's name
 * @param onShare told from time to time which share of the file was read
 * @throws EvaluateError `no-such-file`, `cannot-read`, `unknown-format`
 */
export async function openRows(
  path: string,
  format: string | undefined,
  onShare: (share: number) => void = () => {},
): Promise<RowSource> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT" || cause.code === "ENOTDIR") {
      throw new EvaluateError("no-such-file", path, "is not there", "Check the path", { cause });
    }
    throw cause;
  });
  if (!found.isFile()) throw new EvaluateError("cannot-read", path, "is not a file", "Pass a file");
  const ending = /\.([^./\\]+)$/.exec(path.toLowerCase().replace(/\.gz$/, ""))?.[1] ?? "";
  const name = format ?? FORMAT_OF_ENDING[ending];
  if (name === undefined) {
    const problem = `does not end in ${Object.keys(FORMAT_OF_ENDING)
      .map((each) => `.${each}`)
      .join(", ")}`;
    throw new EvaluateError("unknown-format", path, problem, `Pass --format ${FORMAT_NAMES.join("|")}`);
  }
  try {
    return await FORMATS[name]!(path, onShare);
  } catch (cause) {
    if (cause instanceof EvaluateError || (cause instanceof Error && "syscall" in cause)) throw cause;
    const problem = `cannot be read as ${name}: ${cause instanceof Error ? cause.message : cause}`;
    throw new EvaluateError("cannot-read", path, problem, `Pass the --format that it has: ${FORMAT_NAMES.join(", ")}`, {
      cause,
    });
  }
}

async function sharesOf(path: string, onShare: (share: number) => void): Promise<(bytes: number) => void> {
  const { size } = await stat(path);
  let read = 0;
  return (bytes) => {
    read += bytes;
    onShare(read / size);
  };
}
