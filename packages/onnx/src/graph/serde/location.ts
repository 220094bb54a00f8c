import { OnnxError } from "../../base/errors.js";

/**
 * The location of external data, if it stays within the model's folder.
 *
 * @throws OnnxError `external-data` for absolute paths, drives, `..`, control characters and empty names
 */
export function checkLocation(location: string, where: string): string {
  const parts = location.split(/[/\\]/);
  const isInside =
    !/^[/\\]|^[A-Za-z]:/.test(location) && !hasControlCharacter(location) && parts.every((part) => part !== "..");
  if (isInside && location !== "" && parts.at(-1) !== "") return location;
  throw new OnnxError(
    "external-data",
    where,
    `its elements are said to be in ${JSON.stringify(location.slice(0, 80))}, which is not a file in the model's folder`,
    "Export the model again, with its data file beside it",
  );
}

function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < " ");
}

/** An offset or a length of external data. @throws OnnxError `external-data` unless it is a whole number */
export function checkBytes(text: string, where: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new OnnxError(
    "external-data",
    where,
    `${JSON.stringify(text.slice(0, 40))} is not an offset or length in bytes`,
    "Export the model again",
  );
}
