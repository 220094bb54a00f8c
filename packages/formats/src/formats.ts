import type { FileFormat } from "./format.js";

/** Every format that is one file, by the name that `microlora convert --to` takes. */
export const FILE_FORMATS = {} as const satisfies Readonly<Record<string, FileFormat>>;

export type FileFormatName = keyof typeof FILE_FORMATS;
