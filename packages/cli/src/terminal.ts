import { styleText } from "node:util";

type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";

/** Where the program talks to its user; colours and redrawn lines only where somebody watches. */
export interface Terminal {
  print(line?: string): void;
  /** Replaces the last status by this one; "" clears it. */
  status(text: string): void;
  style(style: Style, text: string): string;
}

/** NO_COLOR: https://no-color.org. */
export function createTerminal(
  out: NodeJS.WriteStream = process.stdout,
  status: NodeJS.WriteStream = process.stderr,
): Terminal {
  const colours = out.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
  const redraw = status.isTTY === true;
  const clear = () => (redraw ? status.write("\r\x1b[2K") : true);
  return {
    print(line = "") {
      clear();
      out.write(`${line}\n`);
    },
    status(text) {
      if (redraw) status.write(`\r\x1b[2K${text}`);
    },
    style: (style, text) => (colours ? styleText(style, text) : text),
  };
}

/** A bar of `width` cells, `done` of 1 filled. */
export function bar(done: number, width = 24): string {
  const filled = Math.round(Math.min(1, Math.max(0, done)) * width);
  return "█".repeat(filled) + "░".repeat(width - filled);
}

/** Rows of cells in columns; the first column to the left, the others to the right. */
export function columns(rows: readonly (readonly string[])[], gap = "   "): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join(gap)
      .trimEnd(),
  );
}

/** Names come from a file: nothing in them may move the cursor. */
export function visible(text: string): string {
  return text.replace(/\p{C}/gu, "\ufffd");
}

/** Prints warnings, one line each, beside the output. */
export function printWarnings(warnings: readonly string[]): void {
  for (const warning of warnings) process.stderr.write(`warning: ${visible(warning)}\n`);
}
