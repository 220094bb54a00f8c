import {
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import type { FileRow, RowSource } from "./row.js";

/** Rows that are read at a time, within a row group. */
const CHUNK = 4096;

/** A Parquet file, one part of a row group at a time. */
export async function openParquet(path: string, onRows: (share: number) => void = () => {}): Promise<RowSource> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  return {
    columns: parquetSchema(metadata).children.map(({ element }) => element.name),
    unit: "row",
    rows: () => read(file, metadata, onRows),
  };
}

async function* read(
  file: Awaited<ReturnType<typeof asyncBufferFromFile>>,
  metadata: FileMetaData,
  onRows: (share: number) => void,
): AsyncGenerator<FileRow> {
  const total = Number(metadata.num_rows);
  let groupStart = 0;
  for (const group of metadata.row_groups) {
    const groupEnd = groupStart + Number(group.num_rows);
    for (let rowStart = groupStart; rowStart < groupEnd; rowStart += CHUNK) {
      const rowEnd = Math.min(groupEnd, rowStart + CHUNK);
      const records = await parquetReadObjects({ file, metadata, rowStart, rowEnd, compressors });
      for (const [i, record] of records.entries()) yield { line: rowStart + i + 1, record };
      onRows(rowEnd / total);
    }
    groupStart = groupEnd;
  }
}
