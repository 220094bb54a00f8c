import { CsvError, parse } from "csv-parse";
import { byteStream } from "./bytes.js";
import type { FileRow, RowSource } from "./row.js";

/** CSV with a header, or TSV; quotes and line breaks inside them as RFC 4180 has them. */
export async function openCsv(path: string, delimiter: string, onBytes?: (bytes: number) => void): Promise<RowSource> {
  for await (const { cells } of read(path, delimiter)) {
    const columns = cells.map((name) => name.trim());
    return { columns, unit: "line", rows: () => records(path, delimiter, columns, onBytes) };
  }
  return { columns: [], unit: "line", rows: async function* () {} };
}

interface Cells {
  readonly line: number;
  readonly cells: readonly string[];
  readonly problem?: string;
}

async function* records(
  path: string,
  delimiter: string,
  columns: readonly string[],
  onBytes?: (bytes: number) => void,
): AsyncGenerator<FileRow> {
  let isHeader = true;
  for await (const { line, cells, problem } of read(path, delimiter, onBytes)) {
    if (isHeader) {
      isHeader = false;
      continue;
    }
    if (problem !== undefined) yield { line, problem };
    else if (cells.length !== columns.length) {
      const problem = `has ${cells.length} ${cells.length === 1 ? "cell" : "cells"}, and the header ${columns.length}`;
      yield { line, problem };
    } else yield { line, record: Object.fromEntries(columns.map((name, i) => [name, cells[i]])) };
  }
}

async function* read(path: string, delimiter: string, onBytes?: (bytes: number) => void): AsyncGenerator<Cells> {
  const source = byteStream(path, onBytes);
  const parser = parse({
    delimiter,
    bom: true,
    info: true,
    skip_empty_lines: true,
    record_delimiter: ["\r\n", "\n"],
    relax_column_count: true,
    // A quote inside a cell that does not begin with one is a quote: 6" pipe.
    relax_quotes: true,
    // TSV as programs write it has no quotes.
    ...(delimiter === "\t" && { quote: false }),
  });
  source.on("error", (error) => parser.destroy(error));
  source.pipe(parser);
  let last = 0;
  // csv-parse counts a Windows line end in a quoted cell as two.
  let twice = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      readonly record: readonly string[];
      readonly info: { readonly lines: number };
    }>) {
      twice += record.reduce((sum, cell) => sum + cell.split("\r\n").length - 1, 0);
      last = info.lines - twice;
      const breaks = record.reduce((sum, cell) => sum + (cell.match(/\r\n|\r|\n/g)?.length ?? 0), 0);
      yield { line: last - breaks, cells: record };
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    yield { line: last + 1, cells: [], problem: "begins a quote that is never closed; the rest of the file is in it" };
  } finally {
    if ("destroy" in source && typeof source.destroy === "function") source.destroy();
    parser.destroy();
  }
}
