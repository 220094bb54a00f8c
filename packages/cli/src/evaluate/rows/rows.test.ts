import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { openRows } from "./open.js";
import type { FileRow } from "./row.js";

const folder = mkdtempSync(join(tmpdir(), "rows-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const FIXTURES = fileURLToPath(new URL("../fixtures/", import.meta.url));

async function read(name: string, content: string | Uint8Array) {
  const path = join(folder, name);
  writeFileSync(path, content);
  const { columns, rows } = await openRows(path, undefined);
  const all: FileRow[] = [];
  for await (const row of rows()) all.push(row);
  return { columns, rows: all };
}

test("JSON Lines: a byte order mark, both line ends, empty lines, and what is not an object", async () => {
  const text = '\ufeff{"user":1,"shown":[["a"],"b"]}\r\n\n{"user":2\n[1]\nnull\n{"chosen":"é"}';
  expect(await read("a.jsonl", text)).toEqual({
    columns: ["user", "shown", "chosen"],
    rows: [
      { line: 1, record: { user: 1, shown: [["a"], "b"] } },
      { line: 3, problem: "is not JSON" },
      { line: 4, problem: "is not a JSON object" },
      { line: 5, problem: "is not a JSON object" },
      { line: 6, record: { chosen: "é" } },
    ],
  });
});

test("CSV: a byte order mark, quotes, line breaks in cells, lines of other widths, and their lines", async () => {
  const text = '\ufeffuser,"a ""b"""\n\n1,"x\ny, z"\n2\n3,6" pipe\r\n4,5,6\n';
  expect(await read("a.csv", text)).toEqual({
    columns: ["user", 'a "b"'],
    rows: [
      { line: 3, record: { user: "1", 'a "b"': "x\ny, z" } },
      { line: 5, problem: "has 1 cell, and the header 2" },
      { line: 6, record: { user: "3", 'a "b"': '6" pipe' } },
      { line: 7, problem: "has 3 cells, and the header 2" },
    ],
  });
});

test("CSV with Windows line ends, and one quote that is never closed", async () => {
  const { rows } = await read("b.csv", 'a,b\r\n1,"x\r\ny"\r\n\r\n2,3\r\n4,"5\r\n6,7\r\n');
  expect(rows).toEqual([
    { line: 2, record: { a: "1", b: "x\r\ny" } },
    { line: 5, record: { a: "2", b: "3" } },
    { line: 6, problem: "begins a quote that is never closed; the rest of the file is in it" },
  ]);
});

test("TSV has no quotes; a packed file is read as what is in it", async () => {
  expect((await read("a.tsv", 'a\tb\n"1\t2\n')).rows).toEqual([{ line: 2, record: { a: '"1', b: "2" } }]);
  expect((await read("a.csv.gz", gzipSync("a\n1\n"))).rows).toEqual([{ line: 2, record: { a: "1" } }]);
  expect((await read("a.jsonl.gz", gzipSync('{"a":1}\n'))).rows).toEqual([{ line: 1, record: { a: 1 } }]);
});

test.each(["snappy", "zstd", "gzip"])(
  "Parquet as pyarrow writes it, packed by %s, over two row groups",
  async (name) => {
    const { columns, unit, rows } = await openRows(join(FIXTURES, `log-${name}.parquet`), undefined);
    expect({ columns, unit }).toEqual({ columns: ["user_id", "time", "query", "shown", "chosen"], unit: "row" });
    const all: FileRow[] = [];
    for await (const row of rows()) all.push(row);
    expect(all.map(({ line }) => line)).toEqual([1, 2, 3, 4]);
    expect(all[1]!.record).toMatchObject({ user_id: 1n, time: new Date("2026-05-01T12:00:05Z"), shown: ["b", "c"] });
    expect([...(all[0]!.record!.query as number[])]).toEqual([0.5, 0.25, 1]);
    expect(all[3]!.record!.user_id ?? null).toBeNull();
  },
);

test.each([
  ["a list.json", '[{"user":1},\n{"user":2}]', "cannot-read"],
  ["one line.json", '[{"user":1}]', "cannot-read"],
  ["no.parquet", "PAR1 is not enough", "cannot-read"],
  ["broken.csv.gz", "not packed", "cannot-read"],
  ["log.xls", "", "unknown-format"],
])("%s is refused", async (name, content, code) => {
  await expect(read(name, content)).rejects.toMatchObject({ code });
});

test("folders and missing files are refused", async () => {
  await expect(openRows(folder, "csv")).rejects.toMatchObject({ code: "cannot-read" });
  await expect(openRows(join(folder, "nowhere.csv"), undefined)).rejects.toMatchObject({ code: "no-such-file" });
});
