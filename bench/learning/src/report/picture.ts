import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

/** Where plots are drawn without a browser. */
export const { document } = parseHTML("<!doctype html><html><body></body></html>");
export const STYLE = { fontFamily: "system-ui, sans-serif", background: "white" };
export const INK = "#1c1917";
export const ACCENT = "#0f766e";

/** Names on the right of points. */
export function labels<T>(points: readonly T[], options: Plot.TextOptions): Plot.Markish {
  return Plot.text([...points], { ...options, dx: 7, dy: 1, textAnchor: "start", fill: INK, fontSize: 9 });
}

/** As a file of its own, which has to name its namespace. */
export function svg(plot: Element): string {
  plot.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return `${plot.outerHTML}\n`;
}
